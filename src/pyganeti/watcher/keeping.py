"""When a daemon that should run and does not is to be started: decisions, and no more.

A daemon that fell (it left its pid file behind, or is known to have failed) is started again at
once, and if it falls again soon, after pauses that grow. One that was stopped in order stays so
until a round that comes a while later: somebody means to have it down for a moment, as a failover
does. One that says it is not needed here, or that systemd looks after, waits for the next round.

Clocks are monotonic and arguments; the dice are an argument too.
"""

from dataclasses import dataclass, replace
from typing import Final

STEADY: Final = 60.0
"""Seconds after which a daemon that runs has come up well."""

FIRST: Final = 1.0
LONGEST: Final = 60.0
"""Seconds between two starts of a daemon that falls at once, at the beginning and in the end."""

REST: Final = 60.0
"""Seconds for which one that was stopped in order is left alone by every round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is known of one daemon. ``due`` is when to start it, None: not before the next round."""

    due: float | None = None
    failures: int = 0
    since: float | None = None
    """Since when it runs, None if it does not."""

    rests: float | None = None
    """Since when it is down in order, None if it is not."""


def wanted(now: float, grace: float) -> Keeping:
    """Return what is known of one that is to run from now on; somebody else has the first try."""
    return Keeping(due=now + grace)


def asked(kept: Keeping, now: float) -> Keeping:
    """Return what follows from a round: it is to run, but not before a pause of its is over."""
    if kept.since is not None or kept.due is not None:
        return kept
    if kept.rests is not None and now < kept.rests + REST:
        return kept
    return replace(kept, due=now)


def runs(kept: Keeping, now: float) -> Keeping:
    """Return what follows from seeing it run."""
    return replace(kept, since=now if kept.since is None else kept.since, due=None, rests=None)


def ended(kept: Keeping, now: float, *, fell: bool, dice: float) -> Keeping:
    """Return what follows from its end; ``dice`` is between 0 and 1."""
    if not fell:
        return Keeping(rests=now)
    ran = 0.0 if kept.since is None else now - kept.since
    if ran >= STEADY or kept.failures == 0:
        return Keeping(due=now, failures=1)
    return Keeping(due=now + pause(kept.failures, dice), failures=kept.failures + 1)


def not_started(kept: Keeping, now: float, *, dice: float) -> Keeping:
    """Return what follows from a start that failed."""
    failures = kept.failures + 1
    return Keeping(due=now + pause(failures, dice), failures=failures)


def not_needed() -> Keeping:
    """Return what follows from a start after which it said, in order, that it is not needed."""
    return Keeping()


def is_due(kept: Keeping, now: float) -> bool:
    """Tell whether it is to be started now."""
    return kept.since is None and kept.due is not None and kept.due <= now


def pause(failures: int, dice: float) -> float:
    """Return the seconds before the start after so many failures; up to a fifth is taken off."""
    grown = min(LONGEST, FIRST * 2.0 ** min(failures - 1, 30))
    return grown * (1.0 - 0.2 * dice)
