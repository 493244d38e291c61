"""By what right this daemon is the master: the one interface of all ways to become it.

Who leads has an epoch, a number that only rises and that nobody else has. Whoever is about to
change something asks `Leadership.check` first, which is cheap and asks nobody; what the change is
written to compares the epoch once more, for between the two this process may have stood still.

A leadership that is lost stays lost: another is another object, with a higher epoch.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pyganeti.base import errors


class NotLeading(errors.Unavailable):
    """Nothing may be changed by this daemon now; the message says why, and who may."""

    exit_status = 11
    """As Ganeti's daemons end that find that this is not the master."""


class Gone(errors.Failure):
    """There is nothing to lead here any more; the message says where it has gone."""

    exit_status = 11


class State(enum.Enum):
    """How a daemon stands to the mastership."""

    STANDBY = "standby"
    """Another one leads, or nobody; this one would take over."""

    LEADING = "leading"

    SUSPENDED = "suspended"
    """It leads, and changes nothing for now: there may be another one that it cannot hear of."""

    DEPOSED = "deposed"
    """It led."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands, since when (seconds since 1970), and why, in words for an operator."""

    state: State
    since: float
    words: str = ""
    silent: tuple[str, ...] = ()
    """The names of nodes that do not answer, as far as that is known."""


Follower = Callable[[Standing], None]
"""Who is told of every change, from the loop, and of who is silent; not to raise, and quick."""


class Leadership(Protocol):
    """The right to lead, from when it was won until it is lost."""

    @property
    def epoch(self) -> int:
        """The number of this leadership; 0 where there are none."""

    @property
    def standing(self) -> Standing:
        """How it stands now."""

    def check(self) -> None:
        """Raise NotLeading unless changes may be made now."""

    @property
    def is_lost(self) -> bool:
        """Whether another leads, for good."""

    async def assure(self) -> None:
        """Find out now, by asking, whether changes may be made; raises NotLeading if not.

        For when something has happened that another master could be the reason of.
        """

    async def lost(self) -> str:
        """Return why, in words, when the leadership is lost; until then wait."""

    def follow(self, follower: Follower) -> None:
        """Have somebody told when it stands differently."""


@runtime_checkable
class Leasing(Protocol):
    """A leadership that ends by itself, unless it is renewed."""

    @property
    def lease_left(self) -> float:
        """How many seconds it may be believed in without another renewal."""
