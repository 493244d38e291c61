from hypothesis import given, settings
from hypothesis import strategies as st

from pyganeti.watcher import keeping

_STATES = st.sampled_from(["fell", "stopped", "failed", "came up", "round", "nothing"])


def test_what_fell_is_started_at_once_and_then_less_and_less() -> None:
    kept = keeping.runs(keeping.Keeping(), 0.0)
    waited = []
    now = 1000.0
    for _ in range(9):
        kept = keeping.ended(kept, now, fell=True, dice=0.0)
        assert kept.due is not None
        waited.append(kept.due - now)
        now = kept.due
        assert keeping.is_due(kept, now)
        kept = keeping.runs(kept, now)
    assert waited == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_one_that_ran_well_is_forgiven() -> None:
    kept = keeping.runs(keeping.Keeping(failures=9), 0.0)
    kept = keeping.ended(kept, keeping.STEADY, fell=True, dice=0.5)
    assert kept.due == keeping.STEADY
    assert kept.failures == 1


def test_what_was_stopped_in_order_rests_for_a_while_whatever_rounds_come() -> None:
    kept = keeping.ended(keeping.runs(keeping.Keeping(), 0.0), 500.0, fell=False, dice=0.0)
    assert not keeping.is_due(kept, 9999.0)
    kept = keeping.asked(kept, 501.0)
    assert not keeping.is_due(kept, 9999.0)
    kept = keeping.asked(kept, 500.0 + keeping.REST)
    assert keeping.is_due(kept, 500.0 + keeping.REST)


def test_a_round_does_not_shorten_a_pause() -> None:
    kept = keeping.not_started(keeping.Keeping(failures=5), 100.0, dice=0.0)
    assert kept.due == 132.0
    assert keeping.asked(kept, 101.0) == kept


def test_what_is_not_needed_is_asked_again_in_every_round() -> None:
    kept = keeping.not_needed()
    assert not keeping.is_due(kept, 9999.0)
    assert keeping.is_due(keeping.asked(kept, 1.0), 1.0)


@settings(deadline=None)
@given(st.lists(st.tuples(_STATES, st.floats(0.01, 400), st.floats(0, 1))))
def test_it_is_never_started_more_often_than_once_and_with_growing_pauses(
    steps: list[tuple[str, float, float]],
) -> None:
    """Whatever happens: what runs is not started, and failures without end do not make a storm."""
    kept = keeping.Keeping()
    now = 0.0
    begun: list[float] = []
    for what, seconds, dice in steps:
        now += seconds
        if keeping.is_due(kept, now):
            assert kept.since is None
            begun.append(now)
            if what == "failed":
                kept = keeping.not_started(kept, now, dice=dice)
                assert kept.due is not None
                assert kept.due >= now + 0.8 * keeping.FIRST
                continue
            kept = keeping.runs(kept, now)
        elif kept.since is not None and what in {"fell", "stopped"}:
            kept = keeping.ended(kept, now, fell=what == "fell", dice=dice)
        elif what == "came up":
            kept = keeping.runs(kept, now)
        elif what == "round":
            kept = keeping.asked(kept, now)
        assert kept.due is None or kept.due <= now + keeping.LONGEST


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(1, 1000))
def test_pauses_are_bounded(dice: float, failures: int) -> None:
    assert 0.8 <= keeping.pause(failures, dice) <= keeping.LONGEST
