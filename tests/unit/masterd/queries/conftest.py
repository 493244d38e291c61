"""An engine over a configuration, nodes that refuse everything, an empty queue and real locks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import pytest

from lab import clusters
from pyganeti.base import errors
from pyganeti.masterd import nodes
from pyganeti.masterd.jobs import fields as jobfields
from pyganeti.masterd.locks import manager
from pyganeti.masterd.queries import engine
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot


class Fixed:
    """A configuration that stays as it is."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.current = snapshot


class Nobody:
    """Nodes of which none answers; who was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def each(
        self,
        nodes_: Iterable[Node],
        name: str,
        arguments: Sequence[object] | Callable[[Any], Sequence[object]] = (),
        *,
        timeout: float | None = None,
    ) -> dict[str, nodes.Answer]:
        self.asked.append(name)
        down = errors.Unavailable("down")
        return {node.uuid: nodes.Answer(error=down, offline=node.offline) for node in nodes_}


class Empty:
    """A queue without jobs."""

    numbers: ClassVar[list[int]] = []

    async def archived_numbers(self) -> list[int]:
        return []

    async def get(
        self, job_ids: Sequence[int] | None = None, *, archived: bool = False
    ) -> list[tuple[int, jobfields.Found | None]]:
        return [(number, None) for number in job_ids or ()]


class Quiet:
    """Nothing is drained, nobody rests."""

    def leadership(self) -> dict[str, Any]:
        return {}

    def is_drained(self) -> bool:
        return False

    def watcher_pause(self) -> int | None:
        return None


MakeEngine = Callable[..., engine.Engine]


@pytest.fixture
def make_engine() -> MakeEngine:
    def make(snapshot: Snapshot, **given: Any) -> engine.Engine:
        parts: dict[str, Any] = {
            "config": Fixed(snapshot),
            "nodes": Nobody(),
            "queue": Empty(),
            "locks": manager.Manager(),
            "surroundings": Quiet(),
        }
        return engine.Engine(**parts | given)

    return make


@pytest.fixture
def asking(make_engine: MakeEngine) -> engine.Engine:
    return make_engine(clusters.furnished())
