from hypothesis import given
from hypothesis import strategies as st

from pyganeti.watcher.recovery import choosing
from pyganeti.watcher.recovery.choosing import Begun, Ready

NODES = ("a", "b")


def ready(name: str, priority: int = 0, *, node: str = "a", order: float = 0.0) -> Ready:
    return Ready(name, node, priority, order)


def names(found: list[Ready]) -> list[str]:
    return [one.name for one in found]


def test_those_of_higher_priority_come_first_and_others_after_all_of_them() -> None:
    waiting = [ready("web", 0), ready("db1", 5), ready("db2", 5), ready("cache", 3)]
    assert names(choosing.choose(waiting, [], {"a": 4})) == ["db1", "db2"]
    begun = [Begun("db1", "a", 5, 1.0)]
    assert names(choosing.choose([ready("cache", 3)], begun, {"a": 4})) == []
    assert names(choosing.choose([ready("cache", 3)], [], {"a": 4})) == ["cache"]


def test_one_that_takes_too_long_keeps_nobody_waiting() -> None:
    begun = [Begun("db1", "a", 5, choosing.PATIENCE + 1)]
    assert names(choosing.choose([ready("web")], begun, {"a": 4})) == ["web"]
    assert names(choosing.choose([ready("web")], begun, {"a": 1})) == []


def test_a_node_does_not_wait_for_another() -> None:
    waiting = [ready("web", node="b"), ready("db", 9)]
    assert names(choosing.choose(waiting, [], {"a": 1, "b": 1})) == ["db", "web"]


def test_among_equals_the_first_that_stopped_is_the_first() -> None:
    waiting = [ready("late", order=2.0), ready("early", order=1.0)]
    assert names(choosing.choose(waiting, [], {"a": 1})) == ["early"]


def test_nobody_begins_on_a_node_that_is_not_there() -> None:
    assert choosing.choose([ready("lost", node="gone")], [], {"a": 4}) == []


_READY = st.builds(
    Ready, st.text("xyz", max_size=3), st.sampled_from(NODES), st.integers(-2, 2), st.floats(0, 9)
)
_BEGUN = st.builds(
    Begun,
    st.text("xyz", max_size=3),
    st.sampled_from(NODES),
    st.integers(-2, 2),
    st.floats(0, 2 * choosing.PATIENCE),
)


@given(
    st.lists(_READY, unique_by=lambda one: one.name),
    st.lists(_BEGUN, max_size=6),
    st.integers(1, 4),
    st.integers(1, 8),
)
def test_no_node_and_not_all_together_get_too_many_and_somebody_always_gets_on(
    waiting: list[Ready], begun: list[Begun], at_once: int, overall: int
) -> None:
    chosen = choosing.choose(waiting, begun, dict.fromkeys(NODES, at_once), overall)
    assert len(chosen) + len(begun) <= max(overall, len(begun))
    for node in NODES:
        running = sum(one.node == node for one in begun)
        more = [one for one in chosen if one.node == node]
        assert running + len(more) <= max(at_once, running)
        assert len({one.priority for one in more}) <= 1
    if waiting and not begun:
        assert chosen


@given(st.lists(_READY, unique_by=lambda one: one.name), st.integers(1, 3))
def test_all_get_their_turn(waiting: list[Ready], at_once: int) -> None:
    left, turns = list(waiting), 0
    while left:
        chosen = choosing.choose(left, [], dict.fromkeys(NODES, at_once))
        left = [one for one in left if one not in chosen]
        turns += 1
        assert turns <= len(waiting)
