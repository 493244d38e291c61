"""What the nodes' answers mean for a master that asks whether it still is one. Pure."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from pyganeti.wire import epochs


class Verdict(enum.Enum):
    """What a look around amounts to."""

    LEADS = enum.auto()
    DOUBTFUL = enum.auto()
    """So many do not answer that these alone could have made another the master."""

    CHALLENGED = enum.auto()
    """Somebody took a later epoch, and did not get most nodes to follow: it is worth nothing."""

    DEPOSED = enum.auto()
    """Somebody took a later epoch, and most nodes may follow it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of asking all that are not marked offline. Those of ``silent`` gave no answer."""

    own: epochs.Epoch
    voters: int
    following: int
    """How many follow the own epoch."""

    silent: tuple[str, ...] = ()
    later: Sequence[epochs.Epoch] = ()
    """The later ones that others follow."""

    @property
    def latest(self) -> epochs.Epoch | None:
        """The latest that anybody follows instead."""
        return max(self.later, default=None)

    def verdict(self) -> Verdict:
        """Decide."""
        if self.later:
            return Verdict.CHALLENGED if 2 * self.following > self.voters else Verdict.DEPOSED
        return Verdict.DOUBTFUL if 2 * len(self.silent) > self.voters else Verdict.LEADS

    def describe(self) -> str:
        """Say it in words for an operator."""
        words = f"{self.following} of {self.voters} nodes follow this one"
        if self.latest is not None:
            words += f"; others follow {self.latest.master}, by its epoch {self.latest.number}"
        if self.silent:
            words += f"; no answer from {', '.join(self.silent)}"
        return words
