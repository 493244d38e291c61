"""The interface: a backing waits until this node may lead, and gives what it leads with.

One kind keeps everything in files of this node and is confirmed by the votes of the others; what
differs between kinds is here and nowhere else. The order is the same for all: `Backing.won`, the
configuration is read from `Tenure.store`, `Tenure.confirmed`, the queue is opened. What a tenure
gave is not used after it has ended.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.config import state, store
from pyganeti.masterd.election import leadership
from pyganeti.masterd.jobs import queue, work
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.wire import epochs


class Store(store.Store, Protocol):
    """Where the configuration is kept, and can be had as a file for other nodes."""

    @property
    def is_own_file(self) -> bool:
        """Whether the original is config.data of this node, which is a copy otherwise."""

    async def copy(self) -> store.Copy:
        """Return the configuration of now as a file; raises OSError or a Failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrying:
    """What a queue needs of those who carry its jobs out."""

    carrier: work.Work
    limit: Callable[[], int]
    rules: Callable[[], Mapping[str, FilterRule]]
    reprioritized: Callable[[], None]


class Tenure(Protocol):
    """One time of leading, or of being about to: what a master daemon leads with."""

    @property
    def store(self) -> Store:
        """Where the configuration is."""

    @property
    def epoch(self) -> epochs.Epoch | None:
        """As which master nodes are called; None before there is one."""

    def deposed(self, by: nodeclient.Deposed) -> None:
        """Take note that a node refuses a call, because it follows a later master."""

    def confirmed(
        self, config: state.Config, nodes: calling.Nodes
    ) -> AbstractAsyncContextManager[leadership.Leadership]:
        """Give the leadership once nothing speaks against it any more.

        It is looked after for as long as the context is not left. Raises a Failure if this node is
        not the master.
        """

    def details(self) -> dict[str, Any]:
        """Return what people want to know of it: ``store``, its kind, and what goes with that."""

    def queue(self, config: state.Config, nodes: calling.Nodes, carrying: Carrying) -> queue.Queue:
        """Return the job queue, not opened yet."""


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, and where that node is reached."""

    name: str
    address: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealings:
    """How it went, since the start, with what the cluster is kept in where that is elsewhere."""

    calls: int
    unanswered: int
    """Calls that nobody answered in time."""
    refused: int
    undecided: int
    """Changes of which nobody knew whether they took effect."""
    undone: int
    """Those that did, and were taken back."""
    last_seconds: float
    """How long the last call took that was answered."""


class Backing(Protocol):
    """One kind; to be used as ``async with``."""

    @property
    def kind(self) -> str:
        """What it is called: files, …."""

    @property
    def stands_by(self) -> bool:
        """Whether a daemon that does not lead waits until it may, and leads time and again."""

    @property
    def leader(self) -> Leader | None:
        """Who else leads, as far as that is known."""

    @property
    def dealings(self) -> Dealings | None:
        """How it went with what the cluster is kept in; None where that is this node's disk."""

    @property
    def is_leader(self) -> bool:
        """Whether this node leads, as far as that is known."""

    def follow(self, follower: Callable[[], None]) -> None:
        """Have somebody told when another leads."""

    def won(self) -> AbstractAsyncContextManager[Tenure]:
        """Wait until this node may lead; it may for as long as the context is not left."""

    async def __aenter__(self) -> Self:
        """Open what it stands on."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
