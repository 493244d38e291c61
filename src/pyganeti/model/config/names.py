"""Names of nodes and instances: shortened as people type them, sorted as people read them."""

import re
from typing import Final, Protocol

_NUMBERS: Final = re.compile(r"([0-9]+)")


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """The name."""


def beginnings(name: str) -> tuple[str, ...]:
    """Return what a name may be shortened to, in lower case: its first parts, and all of it."""
    parts = name.lower().split(".")
    return tuple(".".join(parts[:count]) for count in range(1, len(parts) + 1)) if name else ()


def sort_key(name: str) -> tuple[list[str | int], str]:
    """Return what sorts names so that node2 comes before node10."""
    parts = _NUMBERS.split(name)  # text and numbers in turns, text first
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def by_name(named: Named) -> tuple[list[str | int], str]:
    """Return what sorts named things by their names."""
    return sort_key(named.name)
