"""What stands in one place of an answer: a value, or the reason why there is none.

A cell is a pair, ``(0, value)`` or ``(status, None)``. What cannot be known has no value.
"""

import enum
from typing import Any, Final, TypeAlias

Cell: TypeAlias = tuple[int, Any]

NORMAL: Final = 0

UNKNOWN: Final[Cell] = (1, None)
"""There is no such field."""

NO_DATA: Final[Cell] = (2, None)
"""It could not be found out: a node does not answer, the configuration is broken."""

UNAVAILABLE: Final[Cell] = (3, None)
"""There is none for this row: it has no third disk, say, or does not run."""

OFFLINE: Final[Cell] = (4, None)
"""It would have to be asked of a node that is marked offline."""

NOTHING: Final[Cell] = (NORMAL, None)
"""A value, and the value is null."""


class Kind(enum.StrEnum):
    """What a field's values are, for who shows them."""

    UNKNOWN = "unknown"
    TEXT = "text"
    BOOL = "bool"
    NUMBER = "number"
    FLOAT = "float"
    UNIT = "unit"
    TIMESTAMP = "timestamp"
    OTHER = "other"


class Compared(enum.Enum):
    """What a condition compares."""

    AS_IT_IS = enum.auto()
    AS_HOST = enum.auto()
    """A name, or its first parts."""
    AS_SECONDS = enum.auto()
    """The first of two numbers, seconds and microseconds."""


def value_or(value: Any, otherwise: Cell) -> Cell:  # noqa: ANN401 - JSON
    """Return a cell with a value; ``otherwise`` if that is None."""
    return otherwise if value is None else (NORMAL, value)
