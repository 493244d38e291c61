"""Which job is next."""

from hypothesis import given
from hypothesis import strategies as st

from pyganeti.masterd.jobs import schedule


def everything(found: schedule.Schedule) -> list[int]:
    """Take all that can be taken."""
    taken = []
    while (number := found.take()) is not None:
        taken.append(number)
    return taken


def test_by_priority_then_by_age() -> None:
    found = schedule.Schedule()
    for number, priority in ((3, 0), (1, 0), (2, -10), (4, 10)):
        found.add(number, priority, ())
    assert everything(found) == [2, 1, 3, 4]


def test_who_waits_for_others_waits_for_all_of_them() -> None:
    found = schedule.Schedule()
    found.add(3, -20, {1, 2})
    found.add(4, 0, {3})
    assert everything(found) == []
    found.ended(1)
    assert everything(found) == []
    found.ended(2)
    assert everything(found) == [3]
    found.ended(3)
    assert everything(found) == [4]
    assert len(found) == 0


def test_one_that_was_removed_is_not_taken_and_frees_who_waits_when_it_has_ended() -> None:
    found = schedule.Schedule()
    found.add(1, 0, ())
    found.add(2, 0, {1})
    found.remove(1)
    assert everything(found) == []
    found.ended(1)
    assert everything(found) == [2]


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "prioritize", "remove", "take"]), st.integers(-20, 19)),
        max_size=40,
    )
)
def test_whatever_changes_the_best_is_taken_once(acts: list[tuple[str, int]]) -> None:
    found = schedule.Schedule()
    queued: dict[int, int] = {}
    for number, (act, level) in enumerate(acts):
        victim = sorted(queued)[level % len(queued)] if queued else None
        if act == "add":
            found.add(number, level, ())
            queued[number] = level
        elif act == "take":
            best = min(queued, key=lambda n: (queued[n], n), default=None)
            assert found.take() == best
            queued.pop(best, None) if best is not None else None
        elif victim is not None and act == "prioritize":
            found.prioritize(victim, level)
            queued[victim] = level
        elif victim is not None:
            found.remove(victim)
            del queued[victim]
        assert len(found) == len(queued)
    assert everything(found) == sorted(queued, key=lambda n: (queued[n], n))
