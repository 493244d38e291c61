"""Asking a node about stops: ``instance_stops``, ``instance_why`` and such, with types.

Failure: as `node` says, and `errors.Damaged` if an answer is not as `wire.stopanswers` has it. In a
page, a single stop that is not legible, from a newer node, say, is passed over, and counted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.base import errors
from pyganeti.clients import node
from pyganeti.model import stop as stops
from pyganeti.wire import stopanswers, stoprow, watchedrow

_T = TypeVar("_T")

_GRACE: Final = 10.0
"""Seconds beyond those that the node may wait."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some stops of a node, oldest first, and where to go on; the rest is in ``answer``."""

    stops: tuple[stops.Stop, ...]
    mark: str | None
    illegible: int
    answer: stopanswers.Stops


@dataclass(frozen=True, slots=True)
class Why:
    """A guest's last stop on a node, if any is on record, and its qemu that is under watch now."""

    stop: stops.Stop | None
    watched: stops.Watched | None
    answer: stopanswers.Why


async def page(
    caller: node.Caller,
    address: str,
    mark: str | None,
    *,
    patience: float = 0.0,
    limit: int = 100,
    wanted: stopanswers.Filter | None = None,
) -> Page:
    """Return a node's stops behind a mark, when there are some, or after ``patience`` seconds.

    None is the mark before the oldest, `stopanswers.END` that behind the newest. A node lets few
    wait at once, and refuses others (`errors.Refused`).
    """
    arguments = [mark, patience, limit]
    if wanted is not None:
        arguments.append(msgspec.to_builtins(wanted))
    told = await caller.call(address, "instance_stops", arguments, timeout=patience + _GRACE)
    answer = _converted(told, stopanswers.Stops, address)
    found, illegible = _legible(answer.rows)
    return Page(found, answer.mark, answer.illegible + illegible, answer)


async def why(caller: node.Caller, address: str, name: str) -> Why:
    """Return what a node knows of a guest's last stop."""
    told = await caller.call(address, "instance_why", [name])
    answer = _converted(told, stopanswers.Why, address)
    return Why(
        stop=None if answer.stop is None else stoprow.stop_from(answer.stop),
        watched=None if answer.watched is None else watchedrow.watched_from(answer.watched),
        answer=answer,
    )


async def last_stops(
    caller: node.Caller, address: str, names: Sequence[str]
) -> stopanswers.LastStops:
    """Return the last stop of each of some guests, and since when those run that do."""
    told = await caller.call(address, "instance_last_stops", [list(names)])
    return _converted(told, stopanswers.LastStops, address)


def _converted(told: object, kind: type[_T], address: str) -> _T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise errors.Damaged(f"{address} answers nonsense about stops: {error}") from error


def _legible(rows: Iterable[dict[str, Any]]) -> tuple[tuple[stops.Stop, ...], int]:
    found: list[stops.Stop] = []
    illegible = 0
    for row in rows:
        try:
            found.append(stoprow.stop_from(row))
        except errors.Damaged:
            illegible += 1
    return tuple(found), illegible
