import itertools

import pytest

from pyganeti.model.cause import Cause
from pyganeti.model.recovery import policy, settings
from pyganeti.model.recovery.settings import Action, Level, Limits

LEVELS = [Level.INSTANCE, Level.GROUP, Level.CLUSTER]


@pytest.mark.parametrize(
    ("cause", "action"),
    [
        ("user-poweroff", "down"),
        ("user-hibernate", "down"),
        ("guest-reboot", "restart"),
        ("guest-panic", "restart"),
        ("watchdog", "restart"),
        ("admin-shutdown", "leave"),
        ("admin-quit", "leave"),
        ("host-signal", "restart"),
        ("admin-kill", "leave"),
        ("killed", "restart"),
        ("oom-killed", "restart"),
        ("crashed", "restart"),
        ("exited", "restart"),
        ("migrated", "leave"),
        ("host-reboot", "restart"),
        ("unknown", "restart"),
    ],
)
def test_what_is_done_about_each_cause_where_nobody_said_anything(cause: str, action: str) -> None:
    found = policy.of([], [], [])
    assert found.action(Cause(cause)) == action
    assert found.rules[Cause(cause)].level is None


def test_every_cause_has_a_rule() -> None:
    assert set(policy.BUILT_IN) == set(Cause)


@pytest.mark.parametrize("cause", Cause)
def test_for_every_cause_the_nearest_level_that_says_something_holds(cause: Cause) -> None:
    """Every action or nothing at each of the levels: 64 cases a cause."""
    others = [one for one in Cause if one is not cause]
    for said in itertools.product([None, *Action], repeat=len(LEVELS)):
        tags = [[settings.on_stop_tag(cause, one)] if one else [] for one in said]
        found = policy.of(*tags)
        expected = next(
            (policy.Rule(one, level) for one, level in zip(said, LEVELS, strict=True) if one),
            policy.Rule(policy.BUILT_IN[cause]),
        )
        assert found.rules[cause] == expected
        assert all(found.rules[one] == policy.Rule(policy.BUILT_IN[one]) for one in others)


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_tags_that_contradict_each_other_leave_it_to_the_next_level(
    cause: Cause, level: int
) -> None:
    tags = [[settings.on_stop_tag(cause, Action.DOWN)] for _ in LEVELS]
    tags[level].append(settings.on_stop_tag(cause, Action.LEAVE))
    found = policy.of(*tags).rules[cause]
    assert found == policy.Rule(Action.DOWN, Level.GROUP if level == 0 else Level.INSTANCE)


def test_a_guest_that_may_not_shut_itself_down_is_restarted_unless_somebody_said_otherwise() -> (
    None
):
    for cause in Cause:
        found = policy.of([], may_user_shut_down=False)
        by_the_user = cause in {Cause.USER_POWEROFF, Cause.USER_HIBERNATE}
        assert found.action(cause) == ("restart" if by_the_user else policy.BUILT_IN[cause])
        tags = [settings.on_stop_tag(cause, Action.DOWN)]
        assert policy.of([], [], tags, may_user_shut_down=False).action(cause) == "down"


def test_only_a_stop_by_a_user_who_may_is_recorded_as_the_users() -> None:
    for cause in Cause:
        by_the_user = cause in {Cause.USER_POWEROFF, Cause.USER_HIBERNATE}
        assert policy.of([]).source(cause) == ("user" if by_the_user else "admin")
        assert policy.of([], may_user_shut_down=False).source(cause) == "admin"


def test_the_nearest_limits_hold() -> None:
    own, group, cluster = (f"pyganeti:restarts:{n}/60" for n in (1, 2, 3))
    for tags, limits, level in (
        (([own], [group], [cluster]), Limits(1, 60), Level.INSTANCE),
        (([], [group], [cluster]), Limits(2, 60), Level.GROUP),
        (([], [], [cluster]), Limits(3, 60), Level.CLUSTER),
        ((["pyganeti:restarts:many/60"], [], []), Limits(5, 3600), None),
    ):
        found = policy.of(*tags)
        assert (found.limits, found.limits_level) == (limits, level)


def test_a_priority_and_that_it_was_given_up_are_the_instances_own() -> None:
    tags = ["pyganeti:start-priority:-7", "pyganeti:gave-up:1700000000"]
    found = policy.of(tags)
    assert (found.priority, found.gave_up) == (-7, 1700000000)
    found = policy.of([], tags, tags)
    assert (found.priority, found.gave_up) == (0, None)


def test_the_nearest_number_of_starts_at_a_time_holds() -> None:
    node, group, cluster = ([f"pyganeti:starts-at-once:{n}"] for n in (1, 2, 3))
    assert policy.at_once(node, group, cluster) == 1
    assert policy.at_once([], group, cluster) == 2
    assert policy.at_once([], [], cluster) == 3
    assert policy.at_once(["web"], [], []) == policy.AT_ONCE
