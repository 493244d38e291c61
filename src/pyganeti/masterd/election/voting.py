"""Counting votes: pure arithmetic over what nodes say who the master is.

Every node in the configuration is a voter, offline ones too: who cannot be asked might believe in
somebody else. So a node is the master only when more than half of all voters say so.
"""

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


class Outcome(enum.Enum):
    """What the votes amount to."""

    WON = enum.auto()
    OPEN = enum.auto()
    """Not won, but it would be if those who said nothing were in favour: ask again."""

    LOST = enum.auto()
    """It cannot be won, whatever the silent ones say."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes counted for one node."""

    candidate: str
    voters: int
    in_favour: int
    silent: tuple[str, ...]
    """The names of those who gave no vote, in order."""

    others: Mapping[str, int]
    """Whom the rest voted for."""

    @property
    def outcome(self) -> Outcome:
        """What the count amounts to."""
        if 2 * self.in_favour > self.voters:
            return Outcome.WON
        if 2 * (self.in_favour + len(self.silent)) > self.voters:
            return Outcome.OPEN
        return Outcome.LOST

    def describe(self) -> str:
        """Say the count in words for an operator."""
        words = [f"{self.in_favour} of {self.voters} nodes say that {self.candidate} is the master"]
        words += [f"{count} say {name}" for name, count in sorted(self.others.items())]
        if self.silent:
            words.append(f"no answer from {', '.join(self.silent)}")
        return "; ".join(words)


def count(candidate: str, votes: Mapping[str, str | None]) -> Tally:
    """Count votes: each node's name with whom it takes for the master, None if it is silent."""
    said = Counter(vote for vote in votes.values() if vote is not None)
    return Tally(
        candidate=candidate,
        voters=len(votes),
        in_favour=said.pop(candidate, 0),
        silent=tuple(sorted(name for name, vote in votes.items() if vote is None)),
        others=dict(said),
    )
