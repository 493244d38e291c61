"""Who keeps copies of the queue, by the configuration, and how they are reached."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pyganeti.base import errors
from pyganeti.masterd import nodes


class Cluster(Protocol):
    """What has to be known of the configuration; `model.config.snapshot.Snapshot` is it."""

    def candidates(self) -> Iterable[nodes.Node]:
        """Return the master candidates, the master among them."""


class Configured:
    """The master candidates of the configuration, without this node and those marked offline."""

    def __init__(
        self,
        calling: nodes.Nodes,
        current: Callable[[], Cluster],
        own: str,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        """Make one; ``current`` gives the configuration of now, and ``own`` is this node's uuid.

        ``epoch`` is the one by which it leads.
        """
        self._epoch = epoch
        self._calling = calling
        self._current = current
        self._own = own

    def names(self) -> frozenset[str]:
        """Return their uuids."""
        return frozenset(
            node.uuid
            for node in self._current().candidates()
            if not node.offline and node.uuid != self._own
        )

    def own(self) -> tuple[int, str]:
        """Return the epoch by which this node leads, and its uuid."""
        return self._epoch(), self._own

    async def call(self, candidate: str, name: str, *arguments: object, timeout: float) -> Any:  # noqa: ANN401 - JSON
        """Have one carry out a call; raises what `nodes.Nodes.call` raises."""
        for node in self._current().candidates():
            if node.uuid == candidate:
                return await self._calling.call(node, name, *arguments, timeout=timeout)
        raise errors.Unavailable(f"{candidate} is no candidate any more")
