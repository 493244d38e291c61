"""What an operation works with: the configuration, the nodes, its job, and the clock.

Every operation gets one of its own. What it tells people goes through `Context.info` and its like,
into the job's log; what it tells the daemon's log it says with `base.log`.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pyganeti.base import paths
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.config import draft, state
from pyganeti.masterd.jobs import work
from pyganeti.masterd.locks import manager
from pyganeti.model.config import node as confignode
from pyganeti.model.config import snapshot as snapshots
from pyganeti.model.opcodes import base, table

T = TypeVar("T")


class Engine(Protocol):
    """Answers queries; `masterd.queries.engine.Engine` does."""

    async def query(
        self, what: str, asked: Sequence[str], condition: object = None
    ) -> dict[str, Any]:
        """Return the fields' definitions, and rows of (status, value)."""
        ...

    def query_fields(self, what: str, asked: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the definitions of fields."""
        ...

    def cluster_info(self) -> dict[str, Any]:
        """Return what there is to say about the cluster as a whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What all operations share; made once, by the daemon."""

    layout: paths.Paths
    config: state.Config
    nodes: calling.Nodes
    locks: manager.Manager
    engine: Engine
    stop: Callable[[], None]
    """Has the daemon end: the cluster is no more."""

    now: Callable[[], float] = time.time
    new_uuid: Callable[[], str] = lambda: str(uuid.uuid4())


class Context:
    """One operation's surroundings."""

    def __init__(self, services: Services, run: work.Run, held: manager.Held) -> None:
        self.services = services
        self.run = run
        self.held = held

    @property
    def snapshot(self) -> snapshots.Snapshot:
        """The configuration as it is now."""
        return self.services.config.current

    @property
    def config(self) -> state.Config:
        """The configuration, to be changed."""
        return self.services.config

    @property
    def nodes(self) -> calling.Nodes:
        """The nodes, to be called."""
        return self.services.nodes

    @property
    def layout(self) -> paths.Paths:
        """Where things lie on this node."""
        return self.services.layout

    async def change(self, edit: Callable[[draft.Draft], T]) -> T:
        """Change the configuration, durably; see `config.state.Config.change`."""
        return await self.services.config.change(edit)

    def say(self, text: str) -> None:
        """Tell people what is being done: ``* creating instance disks...``."""
        self.run.log(text)

    def info(self, text: str) -> None:
        """Tell people something they may want to know."""
        self.run.log(f" - INFO: {text}")

    def warn(self, text: str) -> None:
        """Tell people that something is not as it should be, and the work goes on."""
        self.run.log(f" - WARNING: {text}")

    async def submit(self, jobs: Iterable[Sequence[base.Opcode]]) -> list[list[Any]]:
        """Submit jobs for this one's reason; return for each [True, number] or [False, why not]."""
        return await self.run.submit([[table.to_wire(op) for op in ops] for ops in jobs])

    def online(self, nodes: Iterable[confignode.Node]) -> list[confignode.Node]:
        """Return the nodes that may be called."""
        return [node for node in nodes if not node.offline]
