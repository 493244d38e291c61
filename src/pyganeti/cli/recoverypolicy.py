"""What is done when an instance falls, for people and programs to read: the ``info`` sub-commands.

It is put together from the tags that a master daemon answers, so it can be asked of Ganeti's, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.cli import session
from pyganeti.model.recovery import policy
from pyganeti.model.recovery.policy import Policy
from pyganeti.model.recovery.settings import Action, Level
from pyganeti.words import moments

TITLE: Final = "When it falls"
"""What stands before it all."""


@dataclass(frozen=True, slots=True)
class Above:
    """What the levels above instances say: the cluster's tags and switch, groups' tags by name."""

    cluster: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    is_user_shutdown: bool

    def of(self, instance: Iterable[str], group: str, *, user_shutdown: bool) -> Policy:
        """Return the policy for an instance with these tags, and this switch of its own."""
        return policy.of(
            instance,
            self.groups.get(group, ()),
            self.cluster,
            may_user_shut_down=self.is_user_shutdown and user_shutdown,
        )

    def told(self, group: Sequence[str] = ()) -> list[tuple[str, Any]]:
        """Return what holds for instances that say nothing, in a group with these tags."""
        found = policy.of((), group, self.cluster, may_user_shut_down=self.is_user_shutdown)
        return [
            *told(found),
            ("started at a time on a node", policy.at_once((), group, self.cluster)),
        ]


def above(current: session.Session) -> Above:
    """Ask for what the levels above say. Raises Failure."""
    info = current.client.query_cluster_info()
    groups = current.client.query_groups([], ["name", "tags"])
    return of_cluster(info, {name: tags or () for name, tags in groups})


def told(found: Policy) -> list[tuple[str, Any]]:
    """Return what holds, for people; what is not built in has the level beside it that said so."""
    limits = f"{found.limits.tries} within {moments.duration(found.limits.seconds)}"
    return [
        *((_TITLES[action], _causes(found, action)) for action in Action),
        ("restarts before giving up", limits + _said_by(found.limits_level)),
    ]


def told_of_instance(found: Policy) -> list[tuple[str, Any]]:
    """Return the same, with what only an instance has."""
    given_up = "no"
    if found.gave_up is not None:
        given_up = f"since {moments.day_and_time(found.gave_up)}; start it, or modify --forgive"
    return [*told(found), ("start priority", found.priority), ("given up", given_up)]


def of_cluster(info: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> Above:
    """Return the same from what a master daemon says of the cluster."""
    return Above(info["tags"], groups, bool(info.get("enabled_user_shutdown")))


def plain(found: Policy) -> dict[str, Any]:
    """Return the policy for one instance as JSON has it."""
    return {
        "on_stop": {
            cause.value: {"action": rule.action.value, "level": _plain_level(rule.level)}
            for cause, rule in found.rules.items()
        },
        "restarts": {
            "tries": found.limits.tries,
            "seconds": found.limits.seconds,
            "level": _plain_level(found.limits_level),
        },
        "start_priority": found.priority,
        "gave_up": found.gave_up,
    }


_TITLES: Final = {action: f"{action.meaning} after" for action in Action}


def _causes(found: Policy, action: Action) -> str:
    named = [
        f"{cause}{_said_by(rule.level)}"
        for cause, rule in found.rules.items()
        if rule.action is action
    ]
    return ", ".join(named) or "(nothing)"


def _said_by(level: Level | None) -> str:
    return "" if level is None else f" ({level})"


def _plain_level(level: Level | None) -> str | None:
    return None if level is None else level.value
