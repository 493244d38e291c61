"""Disks and network cards of new instances, as people describe them: ``0:size=10g,mode=ro``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.cli import params, units

_NUMBERS: Final = ("spindles",)
MOST: Final = 16
"""Disks or cards that one can have numbers for."""


def disks(described: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return disks in the order of their numbers; raises BadInput."""
    found = _in_order(described, "disk")
    for place, one in enumerate(found):
        if "size" in one:
            one["size"] = units.mebibytes(str(one["size"]))
        elif "adopt" not in one:
            raise errors.BadInput(f"disk {place} needs a size: --disk {place}:size=10g")
        for name in _NUMBERS:
            if name in one:
                one[name] = _number(one[name], f"disk {place}: {name}")
    return found


def cards(described: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return network cards in the order of their numbers; those left out are as by default."""
    found = _in_order(described, "net", gaps=True)
    for place, one in enumerate(found):
        for name, value in one.items():
            if isinstance(value, bool):
                raise errors.BadInput(f"net {place}: {name} needs a value: {name}=…")
    return found


def _in_order(
    described: Sequence[tuple[str, Mapping[str, Any]]], what: str, *, gaps: bool = False
) -> list[dict[str, Any]]:
    numbered: dict[int, dict[str, Any]] = {}
    for name, given in described:
        place = _number(name, f"--{what}: the number before the colon")
        if not 0 <= place < MOST:
            raise errors.BadInput(f"--{what} {place}: there are only 0 to {MOST - 1}")
        if place in numbered:
            raise errors.BadInput(f"--{what} {place} is there twice")
        numbered[place] = {key: value for key, value in given.items() if value != params.DEFAULT}
    count = max(numbered, default=-1) + 1
    missing = [place for place in range(count) if place not in numbered]
    if missing and not gaps:
        raise errors.BadInput(f"--{what} {missing[0]} is missing, and there is one after it")
    return [numbered.get(place, {}) for place in range(count)]


def _number(value: object, what: str) -> int:
    text = str(value)
    if not text.isdecimal():
        raise errors.BadInput(f"{what} is a number, not {text!r}")
    return int(text)
