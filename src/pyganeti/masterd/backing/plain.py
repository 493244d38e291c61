"""Files of this node: config.data and the queue's directory, copied to the other candidates.

Who leads is said by the configuration, and confirmed by the other nodes' votes; another master
daemon on this node is kept away by locks.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from pyganeti.base import errors, log
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd import settings
from pyganeti.masterd.backing import backing
from pyganeti.masterd.config import filestore, state
from pyganeti.masterd.election import asking, confirmed, leadership
from pyganeti.masterd.jobs import candidates, queue
from pyganeti.wire import epochs

_LOG = log.get(__name__)


class Tenure:
    """What a master leads with that keeps everything in files."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._chosen = chosen
        self.store = filestore.FileStore(chosen.layout)

    epoch: epochs.Epoch | None = None

    def deposed(self, by: nodeclient.Deposed) -> None:
        """Say it."""
        _LOG.warning("a node follows a later master", why=str(by))

    @contextlib.asynccontextmanager
    async def confirmed(
        self, config: state.Config, nodes: calling.Nodes
    ) -> AsyncIterator[leadership.Leadership]:
        """Give the leadership if this node is the master, by configuration and votes."""
        name = self._chosen.layout.hostname
        master = config.current.master
        if master.name != name:
            raise errors.BadInput(f"this node is {name}, and the master is {master.name}")
        if not self._chosen.voting:
            _LOG.warning("the other nodes are not asked who the master is")
            yield confirmed.Confirmed("nobody was asked")
            return
        tally = await asking.confirm(
            self._chosen.layout, name, config.current.nodes.values(), nodes
        )
        yield confirmed.Confirmed(tally.describe())

    def queue(
        self, config: state.Config, nodes: calling.Nodes, carrying: backing.Carrying
    ) -> queue.Queue:
        """Return the queue in this node's directory, with copies on the other candidates."""
        layout = self._chosen.layout
        return queue.Queue(
            layout.queue_dir,
            carrying.carrier,
            livelock_dir=layout.livelock_dir,
            candidates=candidates.Configured(
                nodes, lambda: config.current, config.current.cluster.master_node
            ),
            limit=carrying.limit,
            rules=carrying.rules,
            reprioritized=carrying.reprioritized,
        )


class Plain:
    """The kind that needs nothing but disks."""

    kind = "files"
    stands_by = False
    leader: backing.Leader | None = None
    """Not known, and of no use: who does not lead ends."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._chosen = chosen

    async def __aenter__(self) -> Self:
        """Open nothing."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of nothing."""

    def follow(self, follower: Callable[[], None]) -> None:
        """Tell nobody."""
        del follower

    @contextlib.asynccontextmanager
    async def won(self) -> AsyncIterator[Tenure]:
        """Give what to lead with at once: whether this node may is found out by `confirmed`."""
        yield Tenure(self._chosen)
