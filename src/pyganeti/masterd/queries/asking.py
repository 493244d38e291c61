"""Asking nodes for what a question wants to know: all at once, none for longer than a while.

An answer that is none counts as none: a node that talks nonsense is a node that does not answer.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from pyganeti.base import errors, log
from pyganeti.masterd import nodes
from pyganeti.masterd.queries import cells
from pyganeti.masterd.queries.cells import Cell
from pyganeti.model.config.node import Node

_LOG = log.get(__name__)

PATIENCE: Final = 15.0
"""Seconds after which a list is shown without a node: people wait for it, and clients 180 s."""

S = TypeVar("S")


class Nodes(Protocol):
    """Who asks nodes; `masterd.nodes.Nodes` does."""

    async def each(
        self,
        nodes: Iterable[Node],
        name: str,
        arguments: Sequence[object] | Callable[[Any], Sequence[object]] = (),
        *,
        timeout: float | None = None,
    ) -> dict[str, nodes.Answer]:
        """Ask nodes at once; return each one's answer by its uuid. Never raises for a node."""


@dataclass(frozen=True, slots=True)
class Said(Generic[S]):
    """What a node said; if nothing, the cell that says why.

    ``is_refused``: it answered, with words why not.
    """

    what: S | None = None
    missing: Cell = cells.NO_DATA
    is_refused: bool = False


async def each(
    asked: Nodes,
    of: Iterable[Node],
    name: str,
    arguments: Sequence[object] | Callable[[Node], Sequence[object]],
    shape: type[S],
) -> dict[str, Said[S]]:
    """Ask nodes; return by their uuids what they said, as what it should be."""
    answers = await asked.each(of, name, arguments, timeout=PATIENCE)
    return {uuid: _said(answer, name, shape) for uuid, answer in answers.items()}


def _said(answer: nodes.Answer, name: str, shape: type[S]) -> Said[S]:
    if answer.offline:
        return Said(missing=cells.OFFLINE)
    if answer.failed:
        return Said(is_refused=isinstance(answer.error, errors.Refused))
    try:
        return Said(msgspec.convert(answer.payload, shape))
    except msgspec.ValidationError as error:
        _LOG.warning("a node answers nonsense", call=name, why=str(error))
        return Said()
