"""Which of the instances that are to be started begin now. Pure.

No more of a node's at a time than it bears, and of all together than the job queue bears; those of
a higher priority first. On one node, one of a lower priority does not begin before all of higher
ones run, or have taken too long for that: the database is there before what needs it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

OVERALL: Final = 16
"""Restarts under way at a time: some less than the jobs that a queue runs at a time, unless told
otherwise, so that people's jobs have places."""

PATIENCE: Final = 60.0
"""Seconds for which those of lower priority wait for one that is being started."""


@dataclass(frozen=True, slots=True)
class Ready:
    """One that is to be started; ``order`` is by when it stopped."""

    name: str
    node: str
    priority: int
    order: float


@dataclass(frozen=True, slots=True)
class Begun:
    """One that is being started, and for how many seconds."""

    name: str
    node: str
    priority: int
    seconds: float


def choose(
    ready: Collection[Ready],
    begun: Collection[Begun],
    at_once: Mapping[str, int],
    overall: int = OVERALL,
) -> list[Ready]:
    """Return those that begin now, the first first; ``at_once`` says how many a node bears."""
    free = overall - len(begun)
    taken: dict[str, int] = {}
    least: dict[str, int] = {}  # by node, the priority below which nobody begins
    for other in begun:
        taken[other.node] = taken.get(other.node, 0) + 1
        if other.seconds < PATIENCE:
            least[other.node] = max(least.get(other.node, other.priority), other.priority)
    for one in ready:
        least[one.node] = max(least.get(one.node, one.priority), one.priority)
    chosen: list[Ready] = []
    for one in sorted(ready, key=lambda one: (-one.priority, one.order, one.name)):
        if len(chosen) >= free:
            break
        if one.priority < least[one.node] or taken.get(one.node, 0) >= at_once.get(one.node, 0):
            continue
        taken[one.node] = taken.get(one.node, 0) + 1
        chosen.append(one)
    return chosen
