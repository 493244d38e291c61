"""What is asked of etcd and what it answers, as our own words for it. No I/O.

A transaction looks at keys and then does one of two lists of things, all of them at one moment:
its revision. Revisions only rise.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

MOST_OPERATIONS: Final = 128
"""In one list of a transaction, as etcd is set up unless its operator says otherwise."""

MOST_BYTES: Final = 1 << 20
"""In one request: two thirds of what etcd takes unless its operator says otherwise."""


@dataclass(frozen=True, slots=True)
class Item:
    """One key: its value, the revisions of its making and last change, and its lease or 0."""

    key: bytes
    value: bytes
    created: int
    modified: int
    lease: int = 0


class Relation(enum.Enum):
    """How a number has to be to another."""

    EQUAL = "="
    GREATER = ">"


@dataclass(frozen=True, slots=True)
class Created:
    """That a key was made at a revision; at 0 is one that is not there."""

    key: bytes
    revision: int
    relation: Relation = Relation.EQUAL


@dataclass(frozen=True, slots=True)
class Modified:
    """That a key was changed at a revision and not since; at 0 is one that is not there."""

    key: bytes
    revision: int


Condition = Created | Modified


def exists(key: bytes) -> Created:
    """Return the condition that a key is there."""
    return Created(key, 0, Relation.GREATER)


def is_missing(key: bytes) -> Created:
    """Return the condition that a key is not there."""
    return Created(key, 0)


@dataclass(frozen=True, slots=True)
class Put:
    """Have a key have a value, and go with a lease unless that is 0."""

    key: bytes
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Have a key be gone, or all from it up to ``end``."""

    key: bytes
    end: bytes = b""


@dataclass(frozen=True, slots=True)
class Get:
    """Look at a key, or all from it up to ``end``; with ``bare`` without the values."""

    key: bytes
    end: bytes = b""
    bare: bool = False


Operation = Put | Delete | Get


@dataclass(frozen=True, slots=True)
class Transaction:
    """If all conditions hold the operations of ``then`` are done, else those of ``otherwise``."""

    conditions: Sequence[Condition] = ()
    then: Sequence[Operation] = ()
    otherwise: Sequence[Operation] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether conditions held, at which revision that was, and what each operation found.

    What a put or a deletion found is nothing. If it was asked more than once, an earlier asking may
    yet arrive.
    """

    held: bool
    revision: int
    found: tuple[tuple[Item, ...], ...] = ()
    asked: int = 1


@dataclass(frozen=True, slots=True)
class Range:
    """Items, as they all were at one revision."""

    items: tuple[Item, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a key: its new state, or that it is gone at ``item.modified``."""

    item: Item
    is_deletion: bool


@dataclass(frozen=True, slots=True)
class News:
    """What happened at one moment or some, in order, of what is watched."""

    events: tuple[Event, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Member:
    """What one member says of itself; ``has_leader`` is whether it hears of a majority."""

    version: str
    size: int
    """Bytes of its data."""
    leads: bool
    has_leader: bool
    revision: int
    alarms: tuple[str, ...] = field(default=())


def end_of(prefix: bytes) -> bytes:
    """Return the end of the range of all keys that begin so."""
    for index in range(len(prefix) - 1, -1, -1):
        if prefix[index] < 0xFF:  # noqa: PLR2004 - the greatest byte
            return prefix[:index] + bytes([prefix[index] + 1])
    return b"\0"
