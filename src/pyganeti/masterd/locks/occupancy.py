"""What is taken at each level, counted: a claim is checked in the time of its own names."""

from collections import Counter
from typing import Final

from pyganeti.masterd.locks import levels


class _Shelf:
    """One level."""

    __slots__ = ("exclusive", "exclusive_all", "shared", "shared_all")

    def __init__(self) -> None:
        self.shared: Final = Counter[str]()
        self.exclusive: Final = Counter[str]()
        self.shared_all = 0
        self.exclusive_all = 0

    def fits(self, claim: levels.Claim) -> bool:
        if claim.is_nothing:
            return True
        if self.exclusive_all:
            return False
        names = claim.names
        if claim.mode is levels.Mode.SHARED:
            if names is levels.ALL:
                return not self.exclusive
            return self.exclusive.keys().isdisjoint(names)
        if self.shared_all:
            return False
        if names is levels.ALL:
            return not self.exclusive and not self.shared
        return self.exclusive.keys().isdisjoint(names) and self.shared.keys().isdisjoint(names)

    def put(self, claim: levels.Claim, by: int) -> None:
        is_shared = claim.mode is levels.Mode.SHARED
        if claim.names is levels.ALL:
            if is_shared:
                self.shared_all += by
            else:
                self.exclusive_all += by
            return
        counted = self.shared if is_shared else self.exclusive
        for name in claim.names:
            counted[name] += by
            if not counted[name]:
                del counted[name]


class Occupancy:
    """What is taken, by whomever; several exclusive claims on one name can be in it."""

    def __init__(self) -> None:
        self._shelves: Final = {level: _Shelf() for level in levels.Level}

    def fits(self, wanted: levels.Wanted) -> bool:
        """Tell whether this could be taken as well."""
        return all(self._shelves[level].fits(claim) for level, claim in wanted.items())

    def add(self, wanted: levels.Wanted) -> None:
        """Take it, whether it fits or not."""
        for level, claim in wanted.items():
            self._shelves[level].put(claim, 1)

    def remove(self, wanted: levels.Wanted) -> None:
        """Give back what was taken."""
        for level, claim in wanted.items():
            self._shelves[level].put(claim, -1)
