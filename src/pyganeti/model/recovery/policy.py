"""The policy for one instance: from its own settings, its node group's and the cluster's.

For each cause by itself the nearest level that says something holds, and so for the limits; where
none does, what is built in. The group is that of its primary node.

A user may shut an instance down from inside where the cluster's switch (``enabled_user_shutdown``)
and the instance's (the hypervisor parameter ``user_shutdown``) say so. Where they may not, a guest
that powered itself off is one that fell, as in Ganeti: built in is then to restart it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pyganeti.model.cause import Cause
from pyganeti.model.recovery import settings
from pyganeti.model.recovery.settings import Action, Level, Limits

BUILT_IN: Final[Mapping[Cause, Action]] = {
    Cause.USER_POWEROFF: Action.DOWN,
    Cause.USER_HIBERNATE: Action.DOWN,
    Cause.GUEST_REBOOT: Action.RESTART,
    Cause.GUEST_PANIC: Action.RESTART,
    Cause.WATCHDOG: Action.RESTART,
    Cause.ADMIN_SHUTDOWN: Action.LEAVE,
    Cause.ADMIN_QUIT: Action.LEAVE,
    Cause.HOST_SIGNAL: Action.RESTART,
    Cause.ADMIN_KILL: Action.LEAVE,
    Cause.KILLED: Action.RESTART,
    Cause.OOM_KILLED: Action.RESTART,
    Cause.CRASHED: Action.RESTART,
    Cause.EXITED: Action.RESTART,
    Cause.MIGRATED: Action.LEAVE,
    Cause.HOST_REBOOT: Action.RESTART,
    Cause.UNKNOWN: Action.RESTART,
}
"""What is done where nobody said anything else."""

LIMITS: Final = Limits()
AT_ONCE: Final = 4
"""How many of a node's instances are started at a time where nobody said anything else."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about one cause, and which level said so; None: it is built in."""

    action: Action
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for one instance; see `of`.

    ``gave_up`` is when restarting it was given up, in seconds since 1970; None while it was not.
    """

    rules: Mapping[Cause, Rule]
    limits: Limits
    limits_level: Level | None
    priority: int
    gave_up: int | None
    may_user_shut_down: bool

    def action(self, cause: Cause) -> Action:
        """Return what is done after a stop of this cause."""
        return self.rules[cause].action

    def source(self, cause: Cause) -> str:
        """Return whose wish it is, ``user`` or ``admin``, that it is down, where that is recorded.

        A user's only where that may be: the opcode refuses to say so of any other instance.
        """
        return "user" if cause.leaves_marker and self.may_user_shut_down else "admin"


def of(
    instance: Iterable[str],
    group: Iterable[str] = (),
    cluster: Iterable[str] = (),
    *,
    may_user_shut_down: bool = True,
) -> Policy:
    """Return what holds for an instance, from the tags at each level. Never fails."""
    own = settings.read(instance)
    levels = (
        (Level.INSTANCE, own),
        (Level.GROUP, settings.read(group)),
        (Level.CLUSTER, settings.read(cluster)),
    )
    rules = {}
    for cause in Cause:
        rules[cause] = Rule(built_in(cause, may_user_shut_down=may_user_shut_down))
        for level, said in levels:
            if (action := said.on_stop.get(cause)) is not None:
                rules[cause] = Rule(action, level)
                break
    limits, limits_level = LIMITS, None
    for level, said in levels:
        if said.limits is not None:
            limits, limits_level = said.limits, level
            break
    return Policy(
        rules=rules,
        limits=limits,
        limits_level=limits_level,
        priority=own.priority or 0,
        gave_up=own.gave_up,
        may_user_shut_down=may_user_shut_down,
    )


def built_in(cause: Cause, *, may_user_shut_down: bool = True) -> Action:
    """Return what is done after a stop of this cause where nobody said anything else."""
    if cause.leaves_marker and not may_user_shut_down:
        return Action.RESTART
    return BUILT_IN[cause]


def at_once(node: Iterable[str], group: Iterable[str] = (), cluster: Iterable[str] = ()) -> int:
    """Return how many of a node's instances are started at a time, from the tags at each level."""
    for tags in (node, group, cluster):
        if (said := settings.read(tags).at_once) is not None:
            return said
    return AT_ONCE
