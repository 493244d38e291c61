"""What a node answers about stops: ``instance_stops``, ``instance_why``, ``instance_last_stops``.

These calls of the node RPC are ours; masters of Ganeti never ask. Answers are objects; keys are
stable, new ones may be added. What all have:

``kvmd``       whether the daemon that records stops is running now
``journal``    ``there``, ``none`` (no stop was ever recorded, or the file is gone), ``unreadable``
``trouble``    why it cannot be read, ""
``illegible``  how many rows had to be passed over

A *mark* says how far somebody has read a node's journal. It is opaque: hand back the last one.
"""

from typing import Any, Final, Literal, TypeAlias

import msgspec

from pyganeti.model import cause

END: Final = "end"
"""The mark behind all that is recorded so far."""

LONGEST_WAIT: Final = 60.0
"""Seconds that an answer may be waited for."""

MOST_ROWS: Final = 1000
_MOST_NAMES: Final = 500
MOST_LAST: Final = 20_000
"""Guests whose last stops can be asked for at once."""

Journal: TypeAlias = Literal["there", "none", "unreadable"]
Anew: TypeAlias = Literal["", "another journal", "pruned"]
"""Why the rows do not follow on the mark that was given: they begin with the oldest there is."""


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which stops are wanted: of these guests, in that time, for these causes; all if not said.

    ``since`` and ``until`` are times of stopping, both included, in seconds since the epoch.
    ``hosts`` are guests' names or the first parts of such, up to one of their dots; a guest that
    either list has is wanted. ``newest``: if more match than are asked for, the newest are wanted,
    and ``more`` says that there are older ones.
    """

    names: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    causes: tuple[cause.Cause, ...] = ()
    newest: bool = False

    def __post_init__(self) -> None:
        if len(self.names) + len(self.hosts) > _MOST_NAMES:
            raise ValueError(f"a filter has {_MOST_NAMES} names at most")


class Stops(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``instance_stops``.

    ``rows`` are stops, oldest first, as `stoprow` describes them. ``mark`` is where to go on, None
    if there is no journal yet. ``more`` says that more rows are there already. With ``anew`` rows
    may come that were seen before (their ``key`` tells), or some may have been missed.
    """

    rows: list[dict[str, Any]]
    mark: str | None
    more: bool = False
    anew: Anew = ""
    kvmd: bool = False
    journal: Journal = "there"
    trouble: str = ""
    illegible: int = 0


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``instance_why``.

    ``stop`` is a guest's last stop as `stoprow` describes it, None if none is on record;
    ``watched`` the qemu of that name under watch now, as `watchedrow` does; ``waiting`` why its
    socket is not watched, "".
    """

    stop: dict[str, Any] | None
    watched: dict[str, Any] | None = None
    waiting: str = ""
    kvmd: bool = False
    journal: Journal = "there"
    trouble: str = ""
    illegible: int = 0


class Last(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A guest's last stop in short; the fields are those of `model.stop.Stop`.

    ``cause`` may be one that is not known here, of a newer node.
    """

    number: int
    key: str
    stopped: float
    cause: str
    why: str = ""
    started: float | None = None
    pid: int | None = None


class LastStops(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``instance_last_stops``.

    ``stops`` has those of the guests asked for of which a stop is on record, ``running`` since when
    those have run that are under watch now, as far as that is known; both by name.
    """

    stops: dict[str, Last]
    running: dict[str, float | None]
    kvmd: bool = False
    journal: Journal = "there"
    trouble: str = ""
    illegible: int = 0
