import pytest

from pyganeti.model.cause import Cause
from pyganeti.watcher.recovery import cases

KILLED = cases.Stop(Cause.KILLED, "key", 1.0)


@pytest.fixture
def known() -> cases.Cases:
    """Have one that is due on each of two nodes, the first at 5, the second at 7."""
    made = cases.Cases()
    made.hear("web1", "node1", KILLED, 1.0, due=5.0)
    made.hear("web2", "node2", KILLED, 1.0, due=7.0)
    return made


def names(due: dict[str, list[cases.Case]]) -> dict[str, list[str]]:
    return {node: [case.name for case in found] for node, found in due.items()}


def test_whoever_waits_for_a_turn_under_way_is_not_waited_for(known: cases.Cases) -> None:
    assert known.next_due(()) == 5.0
    assert known.next_due({"node1"}) == 7.0
    assert known.next_due({"node1", "node2"}) == cases.NEVER
    assert names(known.due(9.0, {"node1"})) == {"node2": ["web2"]}


def test_one_that_acts_is_due_only_afterwards_and_keeps_the_news(known: cases.Cases) -> None:
    case = known.get("web1")
    assert case is not None
    case.acting_since = 2.0
    news = cases.Stop(Cause.CRASHED, "later", 3.0)
    assert known.hear("web1", "node1", news, 3.0, due=3.0) is case
    assert (case.stop, case.news) == (KILLED, news)
    assert known.next_due(()) == 7.0
    assert names(known.due(9.0, ())) == {"node2": ["web2"]}
    assert known.acting == [case]


def test_a_case_that_was_closed_is_not_closed_again_with_a_new_one_of_its_name(
    known: cases.Cases,
) -> None:
    old = known.get("web1")
    assert old is not None
    known.close(old)
    new = known.hear("web1", "node1", KILLED, 8.0, due=8.0)
    known.close(old)
    assert known.get("web1") is new


def test_of_the_stops_that_two_nodes_tell_the_later_counts(known: cases.Cases) -> None:
    here = cases.Stop(Cause.KILLED, "here", 10.0, "node1")
    before = cases.Stop(Cause.MIGRATED, "there", 9.0, "node2")
    case = known.hear("web3", "node1", here, 1.0, due=1.0)
    known.hear("web3", "node2", before, 2.0, due=2.0)
    assert (case.stop, case.node) == (here, "node1")
    case.acting_since = 3.0
    known.hear("web3", "node2", before, 4.0, due=4.0)
    assert case.news is None
    # One node tells its own in order, whatever its clock shows.
    set_back = cases.Stop(Cause.CRASHED, "again", 5.0, "node1")
    known.hear("web3", "node1", set_back, 5.0, due=5.0)
    assert case.news == set_back


def test_a_stop_is_none_of_one_that_belongs_elsewhere_by_now() -> None:
    assert cases.Stop(node="node1").is_of("node1")
    assert not cases.Stop(node="node1").is_of("node2")
    assert cases.Stop().is_of("node2")
