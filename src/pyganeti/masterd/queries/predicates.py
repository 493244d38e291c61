"""Conditions as functions of a row: yes, no, or None where it depends on what is not known yet.

A condition is compiled once for a query and then costs little for each row. Before nodes are asked,
a row for which the answer is None has to be kept. A field that has no data for a row lets the row
pass, as Ganeti has it; a value of another type than the field's is the asker's mistake, said when a
row shows it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pyganeti.base import errors
from pyganeti.masterd.queries import cells
from pyganeti.masterd.queries.language import (
    Anything,
    Both,
    Comparison,
    Condition,
    Contains,
    Either,
    Match,
    Not,
    Truth,
    Value,
)
from pyganeti.wire import luxi, luxierrors

Predicate: TypeAlias = Callable[[Any], bool | None]
Getter: TypeAlias = Callable[[Any], cells.Cell]

_MOST: Final = 5000
"""Conditions that are looked at for each row; names in one list count as one."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a condition gets a field from: a function of a row, None while that is not known."""

    getter: Getter | None
    compared: cells.Compared


def compiled(condition: Condition, source: Callable[[str], Source | None]) -> Predicate:
    """Return a function that says of a row whether the condition holds.

    ``source`` finds fields by name. Raises WrongParameter for one that there is not; the function
    itself does for a value of another type than the field's, as Ganeti has it.
    """
    return _Compiler(source).compile(condition)


class _Compiler:
    """Turns conditions into functions, and counts them."""

    def __init__(self, source: Callable[[str], Source | None]) -> None:
        self._source = source
        self._left = _MOST

    def compile(self, condition: Condition) -> Predicate:
        match condition:
            case Anything():
                return lambda _: True
            case Both(parts):
                return _all([self.compile(part) for part in parts])
            case Either(parts):
                return _any(self._alternatives(parts))
            case Not(part):
                return _not(self.compile(part))
            case Truth(field):
                return self._leaf(field, _is_true)
            case Match(field, pattern):
                return self._leaf(field, _finds(pattern))
            case Contains(field, value):
                return self._leaf(field, _has(value))
            case Comparison("==", field, value):
                return self._leaf(field, self._equals(field, frozenset({value})))
            case Comparison(operator, field, value):
                return self._leaf(field, _compares(operator, value))

    def _alternatives(self, parts: Sequence[Condition]) -> list[Predicate]:
        """Compile alternatives; values that one field may have are looked up together."""
        predicates: list[Predicate] = []
        values: dict[str, set[Value]] = {}
        for part in parts:
            match part:
                case Comparison("==", field, value):
                    values.setdefault(field, set()).add(value)
                case _:
                    predicates.append(self.compile(part))
        for field, wanted in values.items():
            predicates.append(self._leaf(field, self._equals(field, frozenset(wanted))))
        return predicates

    def _equals(self, field: str, wanted: frozenset[Value]) -> Callable[[Any], bool]:
        found = self._source(field)
        is_host = found is not None and found.compared is cells.Compared.AS_HOST
        return _is_one_of(wanted, is_host=is_host)

    def _leaf(self, field: str, test: Callable[[Any], bool]) -> Predicate:
        self._left -= 1
        if self._left < 0:
            raise errors.BadInput(f"a filter may have {_MOST} conditions")
        found = self._source(field)
        if found is None:
            raise luxierrors.WrongParameter(f"Can't find field named '{field}'")
        getter = found.getter
        if getter is None:
            return lambda _: None
        if found.compared is cells.Compared.AS_SECONDS:
            test = _on_seconds(test)

        def holds(row: object) -> bool:
            status, value = getter(row)
            return test(value) if status == cells.NORMAL else True

        return holds


def _all(parts: list[Predicate]) -> Predicate:
    def holds(row: object) -> bool | None:
        answer: bool | None = True
        for part in parts:
            said = part(row)
            if said is False:
                return False
            if said is None:
                answer = None
        return answer

    return holds


def _any(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]

    def holds(row: object) -> bool | None:
        answer: bool | None = False
        for part in parts:
            said = part(row)
            if said:
                return True
            if said is None:
                answer = None
        return answer

    return holds


def _not(part: Predicate) -> Predicate:
    def holds(row: object) -> bool | None:
        said = part(row)
        return None if said is None else not said

    return holds


def _is_true(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise luxierrors.WrongParameter(f"Unexpected value '{luxi.shown(value)}' in boolean context")


def _finds(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    def test(value: object) -> bool:
        if not isinstance(value, str):
            raise luxierrors.WrongParameter(
                "Invalid field value used in regexp matching, expecting string but got"
                f" '{luxi.shown(value)}'"
            )
        return pattern.search(value) is not None

    return test


def _has(wanted: Value) -> Callable[[Any], bool]:
    kind, word = (str, "String") if isinstance(wanted, str) else (int, "Integer")

    def test(value: object) -> bool:
        if not isinstance(value, list | tuple):
            raise errors.Failure(
                f"Cannot convert value '{luxi.shown(value)}', error: Unable to read list"
            )
        if not all(isinstance(held, kind) and not isinstance(held, bool) for held in value):
            raise errors.Failure(
                f"Cannot convert value '{luxi.shown(value)}', error: Unable to read {word}"
            )
        return wanted in value

    return test


def _is_one_of(wanted: frozenset[Value], *, is_host: bool) -> Callable[[Any], bool]:
    names = frozenset(value for value in wanted if isinstance(value, str))
    numbers = frozenset(value for value in wanted if not isinstance(value, str))

    def test(value: object) -> bool:
        if isinstance(value, str):
            if numbers:
                raise _mismatch(value, next(iter(numbers)))
            return value in names or (is_host and _begins_with(value, names))
        if isinstance(value, int | float) and not isinstance(value, bool) and not names:
            return value in numbers
        raise _mismatch(value, next(iter(wanted)))

    return test


def _begins_with(name: str, wanted: frozenset[str]) -> bool:
    """Say whether a host's name, shortened at one of its dots, is wanted."""
    end = name.find(".")
    while end >= 0:
        if name[:end] in wanted:
            return True
        end = name.find(".", end + 1)
    return False


_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _compares(operator: str, wanted: Value) -> Callable[[Any], bool]:
    order = _ORDERS[operator]
    is_text = isinstance(wanted, str)

    def test(value: object) -> bool:
        if isinstance(value, str) if is_text else _is_number(value):
            return order(value, wanted)
        raise _mismatch(value, wanted)

    return test


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _on_seconds(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: test(value[0])


def _mismatch(value: object, wanted: Value) -> errors.Failure:
    said = "QuotedString" if isinstance(wanted, str) else "NumericValue"
    return luxierrors.WrongParameter(
        "Invalid types in comparison, trying to compare"
        f" {luxi.shown(value)} with '{said} {luxi.shown(wanted)}'"
    )
