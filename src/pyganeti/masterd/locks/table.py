"""Who holds what, who waits for what, and who is next: no I/O, no clock, no tasks.

An owner asks once, for everything, and gets all or nothing. While it waits it holds nothing, and
while it holds it asks for nothing more; so no two can wait for each other, whatever they ask for.

Those who wait are looked at by priority, then by age. One is granted when what it wants is free of
holders, and of what somebody before it in that order waits for: a stream of small requests never
keeps a large one out, unless it has a better priority. (Priorities that rise with time are the
caller's; they come in by `Table.set_priority`.)

Every method that can make room returns the owners to whom it was given, best first.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pyganeti.masterd.locks import levels, occupancy


@dataclass(slots=True)
class Waiting:
    """One who waits; smaller priorities come first, and of equal ones the older."""

    owner: str
    wanted: levels.Wanted
    priority: int
    number: int

    @property
    def rank(self) -> tuple[int, int]:
        """The place in the order."""
        return self.priority, self.number


class Table:
    """All locks of a cluster."""

    def __init__(self) -> None:
        self._held: Final[dict[str, levels.Wanted]] = {}
        self._ages: Final[dict[str, int]] = {}
        self._waiting: Final[dict[str, Waiting]] = {}
        self._taken: Final = occupancy.Occupancy()
        self._numbers: Final = itertools.count()

    @property
    def held(self) -> Iterator[tuple[str, levels.Wanted]]:
        """Who holds what."""
        return iter(self._held.items())

    @property
    def waiting(self) -> list[Waiting]:
        """Who waits for what, best first."""
        return sorted(self._waiting.values(), key=lambda waiting: waiting.rank)

    def request(self, owner: str, wanted: levels.Wanted, priority: int) -> list[str]:
        """Have somebody wait, who is granted at once where that is possible.

        Raises ValueError if this owner waits already, or holds something: it has to give that back
        first.
        """
        if owner in self._held or owner in self._waiting:
            raise ValueError(f"{owner} has asked for locks already")
        self._waiting[owner] = Waiting(owner, dict(wanted), priority, next(self._numbers))
        return self._settle()

    def exchange(self, owner: str, wanted: levels.Wanted, priority: int) -> list[str]:
        """Have an owner give back what it holds and wait for something else, as old as it is.

        Raises ValueError if it holds nothing.
        """
        if owner not in self._held:
            raise ValueError(f"{owner} holds no locks")
        self._taken.remove(self._held.pop(owner))
        self._waiting[owner] = Waiting(owner, dict(wanted), priority, self._ages.pop(owner))
        return self._settle()

    def release(self, owner: str) -> list[str]:
        """Take back everything that an owner holds or waits for; nothing does no harm."""
        self._ages.pop(owner, None)
        held = self._held.pop(owner, None)
        waited = self._waiting.pop(owner, None)
        if held is not None:
            self._taken.remove(held)
        return [] if held is None and waited is None else self._settle()

    def narrow(self, owner: str, wanted: levels.Wanted) -> list[str]:
        """Leave an owner only this much of what it holds.

        Raises ValueError if it holds nothing, or less than that.
        """
        held = self._held.get(owner)
        if held is None:
            raise ValueError(f"{owner} holds no locks")
        for level, claim in wanted.items():
            had = held.get(level)
            if not claim.is_nothing and (had is None or not had.covers(claim)):
                raise ValueError(f"{owner} cannot narrow to what it does not hold: {level.word}")
        self._taken.remove(held)
        self._held[owner] = dict(wanted)
        self._taken.add(wanted)
        return self._settle()

    def set_priority(self, owner: str, priority: int) -> list[str]:
        """Change the rank of one who waits; of others nothing changes."""
        waiting = self._waiting.get(owner)
        if waiting is None or waiting.priority == priority:
            return []
        waiting.priority = priority
        return self._settle()

    def _settle(self) -> list[str]:
        """Grant whatever can be."""
        granted: list[str] = []
        reserved = occupancy.Occupancy()
        for waiting in self.waiting:
            if self._taken.fits(waiting.wanted) and reserved.fits(waiting.wanted):
                del self._waiting[waiting.owner]
                self._held[waiting.owner] = waiting.wanted
                self._ages[waiting.owner] = waiting.number
                self._taken.add(waiting.wanted)
                granted.append(waiting.owner)
            else:
                reserved.add(waiting.wanted)
        return granted
