"""The instances that may have fallen, each once, from the news of a stop until it is put right.

A case is *due* at a moment; it is *ready* when a look has found that it is to be started; it *acts*
while a job of ours is under way; and it *rests* when nothing is to be done as things are. Never
more than one job a case, hence one an instance.
"""

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from pyganeti.model import cause as causes
from pyganeti.model.recovery import policy as policies
from pyganeti.watcher.recovery import deciding

NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Stop:
    """What is known of a stop; ``cause`` is None, and ``key`` empty, if it is on no record.

    ``node`` is where it was, ``stopped`` when, by that node's clock.
    """

    cause: causes.Cause | None = None
    key: str = ""
    stopped: float | None = None
    node: str = ""

    def is_before(self, other: "Stop") -> bool:
        """Tell whether it was earlier than one on another node; a node tells its own in order."""
        if self.node == other.node or self.stopped is None or other.stopped is None:
            return False
        return self.stopped < other.stopped

    def is_of(self, node: str) -> bool:
        """Tell whether it can be why an instance that belongs on that node is down.

        The stop of one that has moved since, by whatever way, tells nothing of that.
        """
        return self.node in {"", node}


@dataclass(slots=True)
class Case:
    """One instance. Moments are those of the steady clock; ``due`` is when to look again."""

    name: str
    node: str
    stop: Stop
    heard: float
    due: float
    waits: int = 0
    troubles: int = 0
    decision: deciding.Decision | None = None
    policy: policies.Policy | None = None
    is_ready: bool = False
    acting_since: float | None = None
    is_told: bool = True
    """Whether listeners know of its stop: of one that was found, once it is decided about."""

    news: Stop | None = None
    """A stop of which we heard while a job was under way."""

    @property
    def spread(self) -> float:
        """A number from 0 to 1 that is the instance's own."""
        return zlib.crc32(self.name.encode(errors="surrogateescape")) / 0xFFFFFFFF

    @property
    def cause(self) -> causes.Cause:
        """The cause by which was decided, or that is on record."""
        if self.decision is not None:
            return self.decision.cause
        return self.stop.cause or causes.Cause.UNKNOWN

    def wait(self, until: float) -> None:
        """Have it looked at again then."""
        self.is_ready, self.due = False, until
        self.waits += 1

    def rest(self) -> None:
        """Have it looked at again when all are."""
        self.is_ready, self.due = False, NEVER

    def hear(self, stop: Stop, node: str, now: float) -> None:
        """Take news of a further stop; nodes may tell of theirs in any order."""
        if stop.is_before(self.news or self.stop):
            return
        self.node = node
        if self.acting_since is not None:
            self.news = stop
            return
        self.stop, self.heard, self.due, self.is_told = stop, now, now, True
        self.waits, self.is_ready = 0, False


class Cases:
    """All cases, by instance."""

    def __init__(self) -> None:
        self._all: dict[str, Case] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def __iter__(self) -> Iterator[Case]:
        """Go through all of them."""
        return iter(list(self._all.values()))

    def get(self, name: str) -> Case | None:
        """Return an instance's case, if it is one."""
        return self._all.get(name)

    def hear(self, name: str, node: str, stop: Stop, now: float, *, due: float) -> Case:
        """Take news of a stop: of a new case, or one that is there."""
        case = self._all.get(name)
        if case is None:
            case = self._all[name] = Case(name, node, stop, heard=now, due=due)
        else:
            case.hear(stop, node, now)
            case.due = max(case.due, due) if case.acting_since is None else case.due
        return case

    def close(self, case: Case) -> None:
        """Have it be none any more."""
        if self._all.get(case.name) is case:
            del self._all[case.name]

    def due(self, now: float, besides: Collection[str]) -> dict[str, list[Case]]:
        """Return by node those to be looked at now, but for some nodes."""
        found: dict[str, list[Case]] = {}
        for case in self._all.values():
            if case.acting_since is None and case.due <= now and case.node not in besides:
                found.setdefault(case.node, []).append(case)
        return found

    def next_due(self, besides: Collection[str]) -> float:
        """Return when the next one is to be looked at, but for those on some nodes."""
        return min(
            (
                case.due
                for case in self._all.values()
                if case.acting_since is None and case.node not in besides
            ),
            default=NEVER,
        )

    @property
    def acting(self) -> list[Case]:
        """Those with a job of ours under way."""
        return [case for case in self._all.values() if case.acting_since is not None]

    @property
    def ready(self) -> list[Case]:
        """Those that are to be started."""
        return [case for case in self._all.values() if case.is_ready and case.acting_since is None]
