"""When an instance may be started again, after what was tried before. Pure.

The first restart comes at once, the next ones after growing pauses, counted from the last one; so
one that has run for an hour since is started at once again. When there were ``tries`` within
``seconds`` it is given up. A day without a restart forgives all that was before.

A guest that reboots, and whose qemu ends on that, has not failed: its first few restarts come at
once, later ones after pauses, and it is never given up.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.model import cause as causes
from pyganeti.model.recovery import settings

FORGIVEN_AFTER: Final = 86400.0
"""Seconds of health that forgive."""

FIRST: Final = 10.0
_FACTOR: Final = 3.0
LONGEST: Final = 600.0
_FREE_REBOOTS: Final = 3
_JITTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Past:
    """A restart that was tried: how many seconds ago, and after which stop."""

    ago: float
    cause: causes.Cause = causes.Cause.UNKNOWN


class Ruling(enum.Enum):
    """What may be done."""

    NOW = "now"
    LATER = "later"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be done, in how many seconds, and the how manieth try it would be, or was."""

    ruling: Ruling
    seconds: float
    attempt: int


def judge(
    past: Sequence[Past],
    limits: settings.Limits,
    cause: causes.Cause,
    *,
    spread: float = 0.0,
) -> Verdict:
    """Decide about a restart after a stop of this cause.

    ``past`` is in any order. ``spread``, from 0 to 1, makes pauses up to a tenth longer: it keeps
    those apart that fell together.
    """
    counted = counting(past, limits)
    reboots = [one for one in counted if one.cause is causes.Cause.GUEST_REBOOT]
    failures = len(counted) - len(reboots)
    if cause is causes.Cause.GUEST_REBOOT:
        attempt = len(reboots)
        pause = _pause(len(reboots) - _FREE_REBOOTS + 1, limits)
    else:
        attempt = failures
        pause = _pause(failures, limits)
        if failures >= limits.tries:
            return Verdict(Ruling.GIVE_UP, 0.0, attempt)
    pause *= 1 + _JITTER * spread
    left = pause - min((one.ago for one in counted), default=pause)
    if left > 0:
        return Verdict(Ruling.LATER, left, attempt + 1)
    return Verdict(Ruling.NOW, 0.0, attempt + 1)


def counting(past: Sequence[Past], limits: settings.Limits) -> list[Past]:
    """Return what counts still, the latest first."""
    found: list[Past] = []
    before = 0.0
    for one in sorted(past, key=lambda one: one.ago):
        if one.ago - before >= FORGIVEN_AFTER or one.ago > limits.seconds:
            break
        found.append(one)
        before = one.ago
    return found


def _pause(tries: int, limits: settings.Limits) -> float:
    """Return the pause after so many; as many as are allowed fit into half of their time."""
    if tries <= 0:
        return 0.0
    most = min(LONGEST, limits.seconds / (2 * limits.tries))
    steps = min(tries - 1, 10)
    return min(FIRST * _FACTOR**steps, most)
