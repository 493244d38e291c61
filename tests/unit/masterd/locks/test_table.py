"""Who may hold what together, and who is next."""

import pytest

from pyganeti.masterd.locks import levels, table

INSTANCE = levels.Level.INSTANCE
NODE = levels.Level.NODE


def test_two_share_what_neither_has_for_himself() -> None:
    locks = table.Table()
    assert locks.request("1", {NODE: levels.shared({"n"})}, 0) == ["1"]
    assert locks.request("2", {NODE: levels.shared({"n"})}, 0) == ["2"]
    assert locks.request("3", {NODE: levels.exclusive({"n"})}, 0) == []
    assert locks.release("1") == []
    assert locks.release("2") == ["3"]


def test_a_whole_level_has_names_that_nobody_has_heard_of() -> None:
    locks = table.Table()
    assert locks.request("1", {INSTANCE: levels.exclusive(levels.ALL)}, 0) == ["1"]
    assert locks.request("2", {INSTANCE: levels.shared({"new"})}, 0) == []
    assert locks.request("3", {NODE: levels.exclusive({"new"})}, 0) == ["3"]
    assert locks.narrow("1", {INSTANCE: levels.exclusive({"old"})}) == ["2"]


def test_all_or_nothing_who_waits_holds_nothing() -> None:
    locks = table.Table()
    locks.request("1", {NODE: levels.exclusive({"n"})}, 0)
    locks.request("2", {INSTANCE: levels.exclusive({"i"}), NODE: levels.exclusive({"n"})}, 0)
    assert dict(locks.held).keys() == {"1"}
    # but who comes later does not get in between
    assert locks.request("3", {INSTANCE: levels.exclusive({"i"})}, 0) == []
    assert locks.release("1") == ["2"]
    assert locks.release("2") == ["3"]


def test_small_requests_do_not_starve_a_large_one() -> None:
    locks = table.Table()
    locks.request("1", {INSTANCE: levels.exclusive({"a"})}, 0)
    locks.request("all", {INSTANCE: levels.exclusive(levels.ALL)}, 0)
    assert locks.request("2", {INSTANCE: levels.exclusive({"b"})}, 0) == []
    assert locks.release("1") == ["all"]


def test_a_better_priority_overtakes_who_waits_but_nobody_who_holds() -> None:
    locks = table.Table()
    locks.request("1", {NODE: levels.exclusive({"n"})}, 0)
    locks.request("2", {NODE: levels.exclusive({"n"})}, 0)
    locks.request("urgent", {NODE: levels.exclusive({"n"})}, -10)
    locks.request("late", {NODE: levels.exclusive({"n"})}, 10)
    assert locks.release("1") == ["urgent"]
    assert locks.set_priority("late", -20) == []
    assert locks.release("urgent") == ["late"]


def test_a_better_priority_gets_in_at_once_where_only_a_waiting_one_was_in_the_way() -> None:
    locks = table.Table()
    locks.request("1", {INSTANCE: levels.exclusive({"a"})}, 0)
    locks.request("all", {INSTANCE: levels.exclusive(levels.ALL)}, 0)
    locks.request("2", {INSTANCE: levels.exclusive({"b"})}, 0)
    assert locks.set_priority("2", -1) == ["2"]


def test_nothing_wanted_is_had_at_once() -> None:
    locks = table.Table()
    locks.request("1", {INSTANCE: levels.exclusive(levels.ALL)}, 0)
    assert locks.request("2", {}, 0) == ["2"]
    assert locks.request("3", {INSTANCE: levels.exclusive(())}, 0) == ["3"]


def test_who_has_asked_may_not_ask_for_more() -> None:
    locks = table.Table()
    locks.request("1", {NODE: levels.exclusive({"n"})}, 0)
    locks.request("2", {NODE: levels.exclusive({"n"})}, 0)
    for owner in ("1", "2"):
        with pytest.raises(ValueError, match="already"):
            locks.request(owner, {}, 0)


@pytest.mark.parametrize(
    "more",
    [
        {NODE: levels.exclusive({"n"})},
        {NODE: levels.shared({"n", "m"})},
        {NODE: levels.shared(levels.ALL)},
        {INSTANCE: levels.shared({"n"})},
    ],
)
def test_narrowing_is_never_widening(more: levels.Wanted) -> None:
    locks = table.Table()
    locks.request("1", {NODE: levels.shared({"n"})}, 0)
    with pytest.raises(ValueError, match="does not hold"):
        locks.narrow("1", more)
    assert dict(locks.held) == {"1": {NODE: levels.shared({"n"})}}
