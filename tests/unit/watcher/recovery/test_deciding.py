import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.model import instancestatus
from pyganeti.model.cause import Cause
from pyganeti.model.recovery import policy, settings
from pyganeti.model.recovery.settings import Action
from pyganeti.watcher.recovery import backoff, deciding
from pyganeti.watcher.recovery.deciding import Fallen, Seen, Step

BUILT_IN = policy.of(())
DOWN = Seen("ERROR_down", "up")
STEPS = {Action.RESTART: Step.START, Action.LEAVE: Step.LEAVE, Action.DOWN: Step.RECORD}
STATUSES = [
    getattr(instancestatus, name)
    for name in (
        "RUNNING",
        "ADMIN_DOWN",
        "ADMIN_OFFLINE",
        "USER_DOWN",
        "ERROR_UP",
        "ERROR_DOWN",
        "ERROR_WRONG_NODE",
        "ERROR_NODE_DOWN",
        "ERROR_NODE_OFFLINE",
    )
]
SEEN = st.builds(
    Seen,
    st.sampled_from(STATUSES),
    st.sampled_from(["up", "down", "offline"]),
    st.booleans(),
    st.booleans(),
)
FALLEN = st.builds(
    Fallen, st.none() | st.sampled_from(list(Cause)), st.floats(0, 1e6), st.integers(0, 1000)
)
TAGS = st.lists(
    st.sampled_from(
        [
            *(
                settings.on_stop_tag(cause, action)
                for cause in (Cause.KILLED, Cause.USER_POWEROFF, Cause.ADMIN_QUIT)
                for action in Action
            ),
            "pyganeti:gave-up:1700000000",
            "pyganeti:restarts:1/60",
            "other",
        ]
    )
)
PAST = st.lists(
    st.builds(backoff.Past, st.floats(0, 1e6), st.sampled_from(list(Cause))), max_size=9
)


def decide(
    seen: Seen | None,
    cause: Cause | None,
    *,
    tags: tuple[str, ...] = (),
    past: tuple[float, ...] = (),
    jobs: tuple[int, ...] = (),
    heard: float = 100.0,
) -> deciding.Decision:
    return deciding.decide(
        seen,
        Fallen(cause, heard),
        policy.of(tags),
        [backoff.Past(ago, Cause.KILLED) for ago in past],
        jobs,
    )


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("action", [None, *Action])
def test_each_cause_leads_to_what_its_policy_says(cause: Cause, action: Action | None) -> None:
    tags = () if action is None else (settings.on_stop_tag(cause, action),)
    wanted = action or policy.BUILT_IN[cause]
    found = decide(DOWN, cause, tags=tags)
    assert found.step is STEPS[wanted]
    assert found.cause is cause


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (None, Step.DONE),
        (Seen("running", "up"), Step.DONE),
        (Seen("ADMIN_down", "down"), Step.DONE),
        (Seen("USER_down", "down"), Step.DONE),
        (Seen("ADMIN_offline", "offline"), Step.DONE),
        (Seen("ERROR_up", "down"), Step.DONE),
        (Seen("ERROR_nodedown", "up"), Step.ASIDE),
        (Seen("ERROR_nodeoffline", "up"), Step.ASIDE),
        (Seen("ERROR_wrongnode", "up"), Step.ASIDE),
        (Seen("ERROR_down", "up", node_offline=True), Step.ASIDE),
        (Seen("ERROR_down", "up", node_drained=True), Step.ASIDE),
        (Seen("ERROR_down", "up"), Step.START),
    ],
)
def test_how_it_is_counts_more_than_what_was_told(seen: Seen | None, step: Step) -> None:
    assert decide(seen, Cause.KILLED).step is step


def test_a_job_about_it_is_waited_for_with_growing_pauses() -> None:
    found = decide(DOWN, Cause.KILLED, jobs=(7, 9))
    assert (found.step, found.why) == (Step.WAIT, "job 7 is about it")
    later = deciding.decide(DOWN, Fallen(Cause.KILLED, 9.0, waits=30), BUILT_IN, [], [7])
    assert found.seconds < later.seconds <= 5


def test_a_guest_whose_qemu_is_still_going_is_looked_at_again_and_not_forgotten() -> None:
    running = Seen("running", "up")
    fresh = decide(running, Cause.GUEST_PANIC, heard=0.0)
    assert fresh.step is Step.WAIT
    assert 0 < fresh.seconds < 0.1
    assert decide(running, None, heard=0.0).step is Step.DONE


def test_without_a_record_the_status_tells_the_users_own_shutdown() -> None:
    assert decide(Seen("USER_down", "up"), None).cause is Cause.USER_POWEROFF
    assert decide(Seen("USER_down", "up"), None).step is Step.RECORD
    assert decide(DOWN, None).cause is Cause.UNKNOWN
    assert decide(DOWN, None).step is Step.START


def test_one_that_was_given_up_stays_so_until_it_is_forgiven() -> None:
    tag = settings.gave_up_tag(1_700_000_000)
    assert decide(DOWN, Cause.KILLED, tags=(tag,)).step is Step.ASIDE
    assert decide(DOWN, Cause.USER_POWEROFF, tags=(tag,)).step is Step.RECORD


def test_too_many_restarts_are_one_decision_to_give_up() -> None:
    found = decide(DOWN, Cause.KILLED, past=(1, 100, 200, 300, 400))
    assert (found.step, found.attempt) == (Step.GIVE_UP, 5)
    assert "5 times" in found.why
    assert decide(DOWN, Cause.KILLED, past=(1, 100)).step is Step.WAIT


@given(SEEN, FALLEN, TAGS, PAST, st.lists(st.integers(1, 99), max_size=2))
def test_it_never_acts_against_what_is_wanted_a_job_or_a_node(
    seen: Seen, fallen: Fallen, tags: list[str], past: list[backoff.Past], jobs: list[int]
) -> None:
    found = deciding.decide(seen, fallen, policy.of(tags), past, jobs)
    if found.step in {Step.START, Step.RECORD, Step.GIVE_UP}:
        assert seen.admin_state == "up"
        assert seen.status in {"ERROR_down", "USER_down"}
        assert not jobs
        assert not seen.node_offline
        assert not seen.node_drained
    if found.step is Step.START:
        assert policy.of(tags).gave_up is None
        assert found.attempt >= 1
    assert (found.seconds > 0) == (found.step is Step.WAIT)
    assert found.why


@given(FALLEN, TAGS, PAST)
def test_one_that_is_down_is_never_taken_for_done(
    fallen: Fallen, tags: list[str], past: list[backoff.Past]
) -> None:
    found = deciding.decide(DOWN, fallen, policy.of(tags), past, [])
    assert found.step is not Step.DONE


@given(SEEN, FALLEN, TAGS, PAST)
def test_the_same_is_decided_about_the_same(
    seen: Seen, fallen: Fallen, tags: list[str], past: list[backoff.Past]
) -> None:
    first = deciding.decide(seen, fallen, policy.of(tags), past, [])
    assert (
        deciding.decide(
            dataclasses.replace(seen), fallen, policy.of(reversed(tags)), past[::-1], []
        )
        == first
    )
