"""What a method's arguments have to be; anything else is refused as Ganeti refuses it. Pure.

Arguments are positional. A reader takes one and returns it as what it is, or raises `Wrong`; a
signature is the readers of them all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pyganeti.base import errors
from pyganeti.masterd.queries import language
from pyganeti.model.opcodes import table
from pyganeti.wire import luxi

Reader: TypeAlias = Callable[[Any], Any]
Json: TypeAlias = Any

_SIZES: Final = {1: "a list of one", 2: "Pair", 3: "Triple"}


class Wrong(Exception):
    """An argument is not what it has to be; the message says what it is instead."""


def read(args: object, *signatures: Sequence[Reader]) -> list[Any]:
    """Return arguments as the first signature that they fit has them.

    Raises Unreadable, in Ganeti's words, with what is wrong for each signature.
    """
    wrong: list[str] = []
    for readers in signatures:
        try:
            return _read(args, readers)
        except Wrong as error:
            wrong.append(f"Cannot convert value '{luxi.shown(args)}', error: {error}")
    raise luxi.Unreadable("; ".join(wrong))


def _read(args: object, readers: Sequence[Reader]) -> list[Any]:
    if not isinstance(args, list) or len(args) != len(readers):
        count = len(readers)
        raise Wrong(f"Unable to read {_SIZES.get(count, f'a list of {count}')}")
    return [reader(value) for reader, value in zip(readers, args, strict=True)]


def job_id(value: object) -> int:
    """Return a job's number, also from a string."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()):
            raise Wrong(f"parsing job id: cannot parse string '{value[:100]}'")
        value = int(value[:19])
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"parsing job id: {luxi.shown(value)} is no number")
    if value < 0:
        raise Wrong(f"parsing job id: Invalid negative job ID {value}")
    return value


def job_ids(value: object) -> list[int] | None:
    """Return jobs' numbers, None for all."""
    return None if value is None else [job_id(held) for held in _list(value)]


def text(value: object) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise Wrong(f"Unable to read String: {luxi.shown(value)}")
    return value


def texts(value: object) -> list[str]:
    """Return a list of texts."""
    return [text(held) for held in _list(value)]


def texts_or_none(value: object) -> list[str]:
    """Return a list of texts, empty for null."""
    return [] if value is None else texts(value)


def text_or_none(value: object) -> str | None:
    """Return a text, or None."""
    return None if value is None else text(value)


def flag(value: object) -> bool:
    """Return a truth."""
    if not isinstance(value, bool):
        raise Wrong(f"Unable to read Bool: {luxi.shown(value)}")
    return value


def whole(value: object) -> int:
    """Return a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"Unable to read Int: {luxi.shown(value)}")
    return value


def seconds(value: object) -> float:
    """Return a time that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise Wrong(f"not a number of seconds: {luxi.shown(value)}")
    return value


def seconds_or_none(value: object) -> float | None:
    """Return a time, or None."""
    return None if value is None else seconds(value)


def serial(value: object) -> int | None:
    """Return the number of a log message; None for anything else, as Ganeti has it."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def anything(value: object) -> Json:
    """Return whatever it is."""
    return value


def condition(value: object) -> Json:
    """Return a condition of the query language as it came, if it is one."""
    try:
        language.parse(value)
    except luxi.Unreadable as error:
        raise Wrong(str(error.args[0])) from error
    return value


def opcodes(value: object) -> list[Mapping[str, Any]]:
    """Return a list of objects, which have still to be checked for being opcodes."""
    return [_object(held) for held in _list(value)]


def jobs(value: object) -> list[list[Mapping[str, Any]]]:
    """Return a list of lists of objects."""
    return [opcodes(held) for held in _list(value)]


def opcode(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an opcode with all its parameters; raises Unreadable if it is none."""
    try:
        luxi.member(dict(given), "reason")
        described = table.to_wire(table.parse(given))
    except luxi.Unreadable as error:
        raise luxi.Unreadable(f"{method}: {error.args[0]}") from error
    except errors.BadInput as error:
        raise luxi.Unreadable(f"{method}: {error}") from error
    if described["priority"] not in _PRIORITIES:
        allowed = ", ".join(map(str, _PRIORITIES))
        raise luxi.Unreadable(
            f"{method}: Invalid priority {described['priority']}, allowed are {allowed}"
        )
    return described


_PRIORITIES: Final = (-10, 0, 10)
"""Those that one may submit with; what waits, or is changed later, has others."""

_ACTIONS: Final = frozenset({"ACCEPT", "CONTINUE", "PAUSE", "REJECT"})
_PREDICATES: Final = frozenset({"jobid", "opcode", "reason"})
_RATE_LIMIT: Final = "RATE_LIMIT"


def priority(value: object) -> int:
    """Return a filter rule's priority."""
    found = whole(value)
    if found < 0:
        raise Wrong(f"a filter's priority is not negative, as {found} is")
    return found


def predicates(value: object) -> list[tuple[str, Json]]:
    """Return what has to be true of a job for a filter rule."""
    found: list[tuple[str, Json]] = []
    for held in _list(value):
        match held:
            case [str(name), described] if name in _PREDICATES:
                found.append((name, condition(described)))
            case _:
                raise Wrong(
                    "a predicate is a pair of jobid, opcode or reason and a filter, not "
                    + luxi.shown(held)
                )
    return found


def action(value: object) -> str | tuple[str, int]:
    """Return what a filter rule does with a job."""
    match value:
        case str(name) if name in _ACTIONS:
            return name
        case [str(name), int(most)] if name == _RATE_LIMIT and most > 0:
            return name, most
    raise Wrong(f"not what a filter does with jobs: {luxi.shown(value)}")


def trail(value: object) -> list[tuple[str, str, int]]:
    """Return a reason trail."""
    found: list[tuple[str, str, int]] = []
    for held in _list(value):
        match held:
            case [str(source), str(words), int(moment)]:
                found.append((source, words, moment))
            case _:
                raise Wrong(f"not a reason: {luxi.shown(held)}")
    return found


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Wrong(f"Unable to read List: {luxi.shown(value)}")
    return value


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"Unable to read JSObject: {luxi.shown(value)}")
    return value
