"""CPU masks, as Ganeti writes them: which of the host's CPUs an instance may run on.

``all`` is every one; ``0-2,4`` is those for the whole instance; ``0:1:2-3`` is one list for each
virtual CPU in turn, where ``all`` may stand too.
"""

from typing import Final

from pyganeti.base import errors

ALL: Final = "all"
_MOST: Final = 8192


def parse(mask: str) -> list[frozenset[int] | None]:
    """Return the CPUs of each list, None for all of them; raises BadInput if it makes no sense."""
    return [None if part == ALL else _numbers(part, mask) for part in mask.split(":")]


def _numbers(part: str, mask: str) -> frozenset[int]:
    found: set[int] = set()
    for piece in part.split(","):
        low, dash, high = piece.partition("-")
        if not (low.isascii() and low.isdigit()) or (
            dash and not (high.isascii() and high.isdigit())
        ):
            raise errors.BadInput(f"cpu_mask {mask!r} is not made of numbers and ranges")
        first, last = int(low), int(high or low)
        if not first <= last < _MOST:
            raise errors.BadInput(f"cpu_mask {mask!r} has a range that is none")
        found.update(range(first, last + 1))
    return frozenset(found)
