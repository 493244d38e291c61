import pytest

from pyganeti.base import errors
from pyganeti.cli.bootstrap import electing
from pyganeti.wire import standings


@pytest.mark.parametrize(
    "said",
    [
        {"n1": "n1", "n2": "n1", "n3": "n1"},
        {"n1": None, "n2": "n1", "n3": "n1"},
        {"n1": None, "n2": "n1", "n3": "n2"},  # it was cut off when one had been told
        {"n1": "n1", "n2": "n1", "n3": "n3"},
    ],
)
def test_most_nodes_that_name_the_old_master_let_it_be_replaced(said: dict[str, str]) -> None:
    electing.Votes(said).check("n1", "n2")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"n1": None, "n2": "n1"}, "only 1 of 2 nodes answer.*no answer from n1"),
        ({"n1": None, "n2": "n1", "n3": None, "n4": "n1"}, "only 2 of 4"),
        ({"n1": "n3", "n2": "n1", "n3": "n3"}, "the others name n3"),
        ({"n1": None, "n2": "n1", "n3": "n3"}, "the others name n3"),
    ],
)
def test_a_new_master_that_others_would_not_confirm_is_refused(
    said: dict[str, str | None], why: str
) -> None:
    with pytest.raises(errors.BadInput, match=why):
        electing.Votes(said).check("n1", "n2")


def standing(
    config: tuple[int, int] | None = None,
    serial: int | None = None,
    good: tuple[int, int, str, tuple[str, ...]] | None = None,
) -> standings.Standing:
    queue = None
    if serial is not None:
        queue = standings.Queue(serial, None if good is None else standings.Good(*good))
    return standings.Standing(1, "n1", config and standings.Config(*config), queue)


def test_the_latest_masters_configuration_is_newer_than_a_higher_number_of_one_before() -> None:
    found = {"a": standing((5, 100)), "b": standing((6, 99)), "c": standing((6, 98))}
    assert electing.newest_config("a", found) == "b"
    assert electing.newest_config("c", {**found, "d": standing()}) == "b"
    assert electing.newest_config("x", found) == "b"
    assert electing.newest_config("x", {}) == "x"


def test_of_two_that_are_as_new_the_own_one_is_taken() -> None:
    found = {"a": standing((5, 100)), "b": standing((5, 100))}
    assert electing.newest_config("a", found) == "a"
    assert electing.newest_config("b", found) == "b"


def test_a_copy_of_the_queue_counts_if_the_newest_list_names_it() -> None:
    old, new = (5, 1, "m", ("a", "b")), (5, 2, "m", ("a",))
    found = {"a": standing(serial=7, good=new), "b": standing(serial=9, good=old)}
    assert electing.good_queue("a", found) == "a"
    assert electing.good_queue("b", found) == "a"
    assert electing.newest_list(found) == standings.Good(*new)
    later = (6, 3, "b", ())
    assert electing.good_queue("a", {**found, "b": standing(serial=9, good=later)}) == "b"


def test_the_old_masters_own_queue_is_as_good_as_its_copies() -> None:
    good = (5, 2, "m", ("a",))
    found = {"m": standing(serial=8, good=good), "b": standing(serial=9, good=(5, 1, "m", ("b",)))}
    assert electing.good_queue("b", found) == "m"


def test_a_copy_that_is_being_filled_does_not_count() -> None:
    found = {
        "a": standing(serial=7),
        "b": standing(serial=7, good=(5, 2, "m", ("a", "b"))),
    }
    assert electing.good_queue("a", found) == "b"


def test_without_any_list_it_is_the_own_copy_unless_there_is_none() -> None:
    found = {"a": standing(serial=3), "b": standing(serial=9), "c": standing(serial=5)}
    assert electing.good_queue("a", found) == "a"
    assert electing.good_queue("x", found) == "b"
    assert electing.good_queue("x", {}) == "x"
