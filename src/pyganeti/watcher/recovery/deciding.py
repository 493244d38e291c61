"""What to do about an instance that may have fallen. Pure: from what was seen to one step.

The rules come in the order of their strength: what is there now counts more than what was told of
a stop; a job about the instance more than the policy; the state of its node more than its own.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.model import cause as causes
from pyganeti.model import instancestatus
from pyganeti.model.recovery import policy as policies
from pyganeti.model.recovery import settings
from pyganeti.watcher.recovery import backoff

_UP: Final = "up"
FRESH: Final = 3.0
"""Seconds after the news of a stop for which a guest that seems to run may not have gone yet: its
qemu is let go only when its stop is on record."""

_LOOK_AGAIN: Final = 0.03
_LOOK_SLOWLY: Final = 0.5
_BUSY: Final = 0.25
_BUSIEST: Final = 5.0


class Step(enum.Enum):
    """What to do."""

    START = "start"
    """Have it started."""

    RECORD = "record"
    """Have it recorded that it is wanted to be down."""

    GIVE_UP = "give up"
    """Say that it is not started any more."""

    WAIT = "wait"
    """Look again, after so many seconds."""

    LEAVE = "leave"
    """Nothing: its policy says so."""

    ASIDE = "aside"
    """Nothing as things are; look again when they may have changed."""

    DONE = "done"
    """Nothing: there is nothing to be put right."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance as it is now; ``status`` is the word that lists show."""

    status: str
    admin_state: str
    node_offline: bool = False
    node_drained: bool = False


@dataclass(frozen=True, slots=True)
class Fallen:
    """What was told of it: the cause of its stop, and how many seconds ago we heard of it.

    ``cause`` is None if nothing is on record. ``waits`` counts the looks that found it busy.
    """

    cause: causes.Cause | None
    heard: float
    waits: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """One step, why, and in how many seconds if that is to wait.

    ``cause`` is the one by which it was decided; ``attempt`` the how manieth restart this would be.
    """

    step: Step
    why: str
    seconds: float = 0.0
    cause: causes.Cause = causes.Cause.UNKNOWN
    attempt: int = 0


def decide(
    seen: Seen | None,
    fallen: Fallen,
    policy: policies.Policy,
    past: Sequence[backoff.Past],
    jobs: Sequence[int],
    *,
    spread: float = 0.0,
) -> Decision:
    """Decide about one instance; ``seen`` is None if there is no such instance any more.

    ``jobs`` are those under way, or to come, that are about it.
    """
    cause = _cause(seen, fallen)
    by_state = _by_state(seen, fallen, jobs)
    if by_state is not None:
        step, why, seconds = by_state
        return Decision(step, why, seconds, cause)
    action = policy.action(cause)
    if action is settings.Action.LEAVE:
        return Decision(Step.LEAVE, f"after {cause} nothing is done", cause=cause)
    if action is settings.Action.DOWN:
        return Decision(Step.RECORD, f"after {cause} it stays down", cause=cause)
    if policy.gave_up is not None:
        return Decision(Step.ASIDE, "restarting it was given up", cause=cause)
    verdict = backoff.judge(past, policy.limits, cause, spread=spread)
    match verdict.ruling:
        case backoff.Ruling.GIVE_UP:
            limits = policy.limits
            why = f"it was restarted {verdict.attempt} times within {limits.seconds} s"
            return Decision(Step.GIVE_UP, why, cause=cause, attempt=verdict.attempt)
        case backoff.Ruling.LATER:
            why = f"try {verdict.attempt} comes after a pause"
            return Decision(Step.WAIT, why, verdict.seconds, cause, verdict.attempt)
    return Decision(
        Step.START, f"after {cause} it is restarted", cause=cause, attempt=verdict.attempt
    )


def _by_state(
    seen: Seen | None, fallen: Fallen, jobs: Sequence[int]
) -> tuple[Step, str, float] | None:
    """Return the step that follows from how things are, None if its policy has to say."""
    if seen is None:
        return Step.DONE, "there is no such instance any more", 0.0
    if seen.admin_state != _UP:
        return Step.DONE, f"it is wanted to be {seen.admin_state}", 0.0
    if seen.status == instancestatus.RUNNING:
        if fallen.cause is not None and fallen.heard < FRESH:
            pause = min(_LOOK_AGAIN * 2 ** min(fallen.waits, 10), _LOOK_SLOWLY)
            return Step.WAIT, "it has not gone yet, or runs again", pause
        return Step.DONE, "it runs", 0.0
    if jobs:
        pause = min(_BUSY * 2 ** min(fallen.waits, 10), _BUSIEST)
        return Step.WAIT, f"job {jobs[0]} is about it", pause
    if seen.node_offline or seen.status == instancestatus.ERROR_NODE_OFFLINE:
        return Step.ASIDE, "its node is offline", 0.0
    if seen.node_drained:
        return Step.ASIDE, "its node is drained", 0.0
    if seen.status not in {instancestatus.ERROR_DOWN, instancestatus.USER_DOWN}:
        return Step.ASIDE, f"it is {seen.status}", 0.0
    return None


def _cause(seen: Seen | None, fallen: Fallen) -> causes.Cause:
    if fallen.cause is not None:
        return fallen.cause
    if seen is not None and seen.status == instancestatus.USER_DOWN:
        return causes.Cause.USER_POWEROFF
    return causes.Cause.UNKNOWN
