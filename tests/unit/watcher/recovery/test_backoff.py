import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.model.cause import Cause
from pyganeti.model.recovery.settings import Limits
from pyganeti.watcher.recovery import backoff
from pyganeti.watcher.recovery.backoff import Past, Ruling

LIMITS = Limits(5, 3600)
FAILURES = [cause for cause in Cause if cause is not Cause.GUEST_REBOOT]
SOME = st.lists(
    st.builds(Past, st.floats(0, 40 * 86400), st.sampled_from(list(Cause))), max_size=30
)
ANY_LIMITS = st.builds(Limits, st.integers(1, 50), st.integers(1, 30 * 86400))


def tried(*ago: float, cause: Cause = Cause.KILLED) -> list[Past]:
    return [Past(seconds, cause) for seconds in ago]


@pytest.mark.parametrize(
    ("past", "ruling", "seconds", "attempt"),
    [
        ([], Ruling.NOW, 0, 1),
        (tried(0), Ruling.LATER, 10, 2),
        (tried(9), Ruling.LATER, 1, 2),
        (tried(10), Ruling.NOW, 0, 2),
        (tried(0, 10), Ruling.LATER, 30, 3),
        (tried(0, 30, 40), Ruling.LATER, 90, 4),
        (tried(0, 90, 120, 130), Ruling.LATER, 270, 5),
        (tried(600, 700, 800, 900), Ruling.NOW, 0, 5),
        (tried(0, 270, 360, 390, 400), Ruling.GIVE_UP, 0, 5),
        (tried(3000, 3100, 3200, 3300, 3400), Ruling.GIVE_UP, 0, 5),
        (tried(3000, 3100, 3200, 3300, 3601), Ruling.NOW, 0, 5),
        (tried(4000, 5000, 6000, 7000, 8000), Ruling.NOW, 0, 1),
    ],
)
def test_restarts_come_after_growing_pauses_and_end(
    past: list[Past], ruling: Ruling, seconds: float, attempt: int
) -> None:
    verdict = backoff.judge(past, LIMITS, Cause.CRASHED)
    assert (verdict.ruling, verdict.attempt) == (ruling, attempt)
    assert verdict.seconds == pytest.approx(seconds)


def test_a_guest_that_reboots_comes_back_at_once_a_few_times_and_is_never_given_up() -> None:
    past: list[Past] = []
    pauses = []
    for _ in range(12):
        verdict = backoff.judge(past, LIMITS, Cause.GUEST_REBOOT)
        pauses.append(verdict.seconds)
        past = [*[Past(one.ago + verdict.seconds, one.cause) for one in past]]
        past.append(Past(0, Cause.GUEST_REBOOT))
    assert pauses[:4] == pytest.approx([0, 0, 0, 10])
    assert max(pauses) == pytest.approx(360)
    assert backoff.judge(past, LIMITS, Cause.KILLED).ruling is Ruling.NOW


def test_a_day_of_health_forgives_whatever_the_limit_says() -> None:
    limits = Limits(3, 30 * 86400)
    recent = tried(100, 5000, 80_000)
    assert backoff.judge(recent, limits, Cause.KILLED).ruling is Ruling.GIVE_UP
    assert backoff.judge(tried(86_400, 90_000, 95_000), limits, Cause.KILLED).attempt == 1
    assert backoff.judge(tried(100, 86_600, 90_000), limits, Cause.KILLED).attempt == 2


@given(SOME, ANY_LIMITS, st.sampled_from(list(Cause)), st.floats(0, 1))
def test_no_pause_is_longer_than_the_longest_and_none_is_negative(
    past: list[Past], limits: Limits, cause: Cause, spread: float
) -> None:
    verdict = backoff.judge(past, limits, cause, spread=spread)
    assert 0 <= verdict.seconds <= backoff.LONGEST * 1.1
    assert (verdict.seconds > 0) == (verdict.ruling is Ruling.LATER)
    if cause is Cause.GUEST_REBOOT:
        assert verdict.ruling is not Ruling.GIVE_UP


@given(SOME, ANY_LIMITS, st.sampled_from(FAILURES))
def test_who_waits_for_as_long_as_he_is_told_may(
    past: list[Past], limits: Limits, cause: Cause
) -> None:
    verdict = backoff.judge(past, limits, cause)
    if verdict.ruling is Ruling.LATER:
        later = [Past(one.ago + verdict.seconds + 0.001, one.cause) for one in past]
        assert backoff.judge(later, limits, cause).ruling is Ruling.NOW


@given(ANY_LIMITS, st.sampled_from(FAILURES), st.floats(0, 1))
def test_one_that_falls_again_and_again_is_given_up_after_just_as_many_tries(
    limits: Limits, cause: Cause, spread: float
) -> None:
    past: list[Past] = []
    clock, tries = 0.0, 0
    while (
        verdict := backoff.judge(past, limits, cause, spread=spread)
    ).ruling is not Ruling.GIVE_UP:
        clock += verdict.seconds
        past = [Past(one.ago + verdict.seconds, one.cause) for one in past]
        if verdict.ruling is Ruling.NOW:
            tries += 1
            past.append(Past(0.0, cause))
        assert tries <= limits.tries
    assert tries == limits.tries
    assert clock <= limits.seconds


@given(
    SOME, ANY_LIMITS, st.sampled_from(list(Cause)), st.floats(-(10**9), 10**9), st.integers(0, 10)
)
def test_what_is_younger_never_counts_less(
    past: list[Past], limits: Limits, cause: Cause, jump: float, which: int
) -> None:
    """A clock that jumped makes old tries look as if they were now, or the other way round."""
    younger = [
        Past(max(0.0, one.ago - abs(jump)), one.cause) if index == which else one
        for index, one in enumerate(past)
    ]
    assert len(backoff.counting(younger, limits)) >= len(backoff.counting(past, limits)) - 1
