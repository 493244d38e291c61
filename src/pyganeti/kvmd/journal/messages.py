"""What the loop and the journal's writer thread say to each other. No I/O."""

import dataclasses
import enum
from collections.abc import Callable

from pyganeti.model import stop as stops
from pyganeti.wire import stopjournal


class Outcome(enum.StrEnum):
    """What became of a stop that was to be recorded."""

    STORED = "stored"
    KNOWN = "known"
    """A stop with its key was there already, and is the one that is handed back."""
    PENDING = "pending"
    """Not on disk in time, if ever. It is kept and tried again; no further call will come."""


class TroubleKind(enum.StrEnum):
    """What happened to the journal."""

    FAILING = "failing"
    WELL = "well"
    BEGUN_ANEW = "begun-anew"
    """There is a new file: guests under watch must be remembered again."""
    LOST = "lost"
    """Something could not be kept even in memory, or can never be a row."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """News of the journal's health; ``pending`` counts the stops that are not on disk."""

    kind: TroubleKind
    detail: str
    pending: int


@dataclasses.dataclass(eq=False, slots=True)
class Entry:
    """A stop on its way to the disk. ``done`` is the loop's business, ``marker`` may change."""

    stop: stops.Stop
    marker: stopjournal.Marker
    submitted: float
    done: Callable[[stops.Stop, Outcome], None] | None


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What became of an entry; ``is_settled`` says that the writer has let go of it."""

    entry: Entry
    stop: stops.Stop
    outcome: Outcome
    is_settled: bool
