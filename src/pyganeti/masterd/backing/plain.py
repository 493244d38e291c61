"""Files of this node: config.data and the queue's directory, copied to the other candidates.

Who leads is said by the configuration, and confirmed by the other nodes' votes; then most of them
promise to follow it, and no other, which is looked after for as long as it leads. Another master
daemon on this node is kept away by locks.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Self

from pyganeti.base import log
from pyganeti.clients import claiming
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd import settings
from pyganeti.masterd.backing import backing
from pyganeti.masterd.config import filestore, state
from pyganeti.masterd.election import asking, leadership, looking, promised
from pyganeti.masterd.jobs import candidates, queue, rights
from pyganeti.wire import epochs

_LOG = log.get(__name__)


class Tenure:
    """What a master leads with that keeps everything in files."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._chosen = chosen
        self._leading: promised.Promised | None = None
        self.store = filestore.FileStore(chosen.layout, epoch=self._number)

    @property
    def epoch(self) -> epochs.Epoch | None:
        """As which master nodes are called."""
        return None if self._leading is None else self._leading.current

    def deposed(self, by: nodeclient.Deposed) -> None:
        """Find out whether this still is the master."""
        if self._leading is not None:
            self._leading.hear(by)

    @contextlib.asynccontextmanager
    async def confirmed(
        self, config: state.Config, nodes: calling.Nodes
    ) -> AsyncIterator[leadership.Leadership]:
        """Give the leadership if this node is the master, by configuration, votes and promises."""
        name = self._chosen.layout.hostname
        master = config.current.master
        if master.name != name:
            raise leadership.NotLeading(f"this node is {name}, and the master is {master.name}")
        voting = self._chosen.voting
        words = "the other nodes were not asked who the master is"
        if voting:
            tally = await asking.confirm(
                self._chosen.layout, name, config.current.nodes.values(), nodes
            )
            words = tally.describe()
        else:
            _LOG.warning("the other nodes are not asked who the master is")
        taking = claiming.Claiming(self._chosen.layout, nodes)

        def voters() -> Iterable[calling.Node]:
            return config.current.nodes.values()

        async def claim(above: int) -> epochs.Epoch:
            return await taking.claim(voters(), needs_most=True, above=above)

        self._leading = promised.Promised(
            await taking.claim(voters(), needs_most=voting),
            voters=voters,
            ask=looking.Looking(self._chosen.layout, lambda: self.epoch).ask,
            claim=claim,
            words=words,
            is_sure=not voting,
        )
        async with self._leading.running():
            yield self._leading

    def details(self) -> dict[str, Any]:
        """Return the kind."""
        return {"store": Plain.kind}

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
                nodes,
                lambda: config.current,
                config.current.cluster.master_node,
                self._number,
            ),
            limit=carrying.limit,
            rules=carrying.rules,
            reprioritized=carrying.reprioritized,
            right=rights.UNQUESTIONED if self._leading is None else self._leading,
        )

    def _number(self) -> int:
        return 0 if self.epoch is None else self.epoch.number


class Plain:
    """The kind that needs nothing but disks."""

    kind = "files"
    stands_by = False
    dealings: backing.Dealings | None = None
    leader: backing.Leader | None = None
    is_leader = True
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
