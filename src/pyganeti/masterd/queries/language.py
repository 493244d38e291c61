"""Conditions of the query language: from nested lists to checked objects.

``["&", ["=", "status", "running"], ["!", ["=~", "name", "^web"]]]``. What is none is refused as
part of a request that cannot be read, in Ganeti's words. What conditions mean for a row
`predicates` knows.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pyganeti.wire import luxi

Value: TypeAlias = str | int

_DEEPEST: Final = 50


@dataclass(frozen=True, slots=True)
class Both:
    """All of them hold; none is true."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of them holds; none is false."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Truth:
    """A field is true."""

    field: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compares with a value: ``==``, ``<``, ``<=``, ``>``, ``>=``."""

    operator: str
    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Match:
    """A regular expression is found in a field."""

    field: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Contains:
    """A field, a list, has the value in it."""

    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Anything:
    """No condition at all."""


Condition: TypeAlias = Both | Either | Not | Truth | Comparison | Match | Contains | Anything

_COMPARISONS: Final[Mapping[str, str]] = {
    "==": "==",
    "=": "==",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}


def parse(described: object) -> Condition:
    """Return the condition that JSON describes; raises luxi.Unreadable if it describes none."""
    return _parse(described, 0)


def named(field: str, values: Sequence[Value]) -> Condition:
    """Return the condition that a field has one of the values; anything, if there are none."""
    if not values:
        return Anything()
    return Either(tuple(Comparison("==", field, value) for value in values))


def fields_of(condition: Condition) -> Iterator[str]:
    """Yield the names of the fields that a condition speaks of."""
    match condition:
        case Both(parts) | Either(parts):
            for part in parts:
                yield from fields_of(part)
        case Not(part):
            yield from fields_of(part)
        case Anything():
            pass
        case _:
            yield condition.field


def requested(condition: Condition, field: str) -> list[Value] | None:
    """Return the values if a condition only lists what a field may be, None if it says more.

    An empty list is no restriction.
    """
    match condition:
        case Anything():
            return []
        case Comparison("==", name, value) if name == field:
            return [value]
        case Either(parts):
            found: list[Value] = []
            for part in parts:
                values = requested(part, field)
                if values is None:
                    return None
                found += values
            return found
    return None


def _parse(described: object, depth: int) -> Condition:  # noqa: PLR0912 - a line an operator
    if described is None:
        return Anything()
    if depth > _DEEPEST:
        raise luxi.Unreadable("Cannot deserialise filter: it is nested too deeply")
    match described:
        case ["&", *parts]:
            return Both(tuple(_parse(part, depth + 1) for part in parts))
        case ["|", *parts]:
            return Either(tuple(_parse(part, depth + 1) for part in parts))
        case ["!", part]:
            return Not(_parse(part, depth + 1))
        case ["!", *given]:
            raise _wrong("field", "[filter]", given)
        case ["?", str(field)]:
            return Truth(field)
        case ["?", *given]:
            raise _wrong("field", "[fieldname]", given)
        case ["!=", *given]:
            field, value = _pair(given)
            return Not(Comparison("==", field, _value(value)))
        case ["=~", *given]:
            field, value = _pair(given)
            return Match(field, _pattern(value))
        case ["=[]", *given]:
            field, value = _pair(given)
            return Contains(field, _value(value))
        case [str(operator), *given] if operator in _COMPARISONS:
            field, value = _pair(given)
            return Comparison(_COMPARISONS[operator], field, _value(value))
        case [str(operator), *_]:
            raise luxi.Unreadable(f"Unknown filter operand '{operator[:100]}'")
    raise luxi.Unreadable(
        "Cannot deserialise filter: expected array [string, args], got " + luxi.shown(described)
    )


def _wrong(what: str, expected: str, given: object) -> luxi.Unreadable:
    return luxi.Unreadable(
        f"Cannot deserialise {what}, expected {expected} but got {luxi.shown(given)}"
    )


def _pair(given: list[Any]) -> tuple[str, Any]:
    match given:
        case [str(field), value]:
            return field, value
    raise _wrong("field/value pair", "[fieldname, value]", given)


def _value(value: object) -> Value:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        raise luxi.Unreadable(
            "Cannot deserialise numeric filter value, expecting integral but got a fractional"
            f" value: {value}"
        )
    raise luxi.Unreadable(
        "Cannot deserialise filter value, expecting string or integer, got " + luxi.shown(value)
    )


def _pattern(value: object) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise luxi.Unreadable("a regular expression is a string, not " + luxi.shown(value))
    try:
        return re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise luxi.Unreadable(
            f"the regular expression {luxi.shown(value)} is none: {error}"
        ) from error
