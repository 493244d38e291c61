"""Changes of devices, in all the forms that clients send, come to the same."""

from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.masterd.ops.instance import modifications
from pyganeti.masterd.ops.instance.modifications import Change
from pyganeti.model.config.instance import Nic

NICS = [Nic(mac="", uuid="u0", name="front"), Nic(mac="", uuid="u1")]


@pytest.mark.parametrize(
    ("asked", "change"),
    [
        (["add", {"ip": "x"}], Change("add", -1, {"ip": "x"})),
        (["remove", {}], Change("remove", -1, {})),
        ([1, {"ip": "x"}], Change("modify", 1, {"ip": "x"})),
        (["front", {"ip": "x"}], Change("modify", "front", {"ip": "x"})),
        (["modify", "front", {"ip": "x"}], Change("modify", "front", {"ip": "x"})),
        (["add", 0, {}], Change("add", 0, {})),
        (["detach", "u1", {}], Change("detach", "u1", {})),
    ],
)
def test_old_and_new_forms_are_understood(asked: list[Any], change: Change) -> None:
    assert modifications.parse("NIC", [asked]) == [change]


@pytest.mark.parametrize(
    "asked",
    [
        [["remove", {"ip": "x"}]],
        [["remove", 0, {"ip": "x"}]],
        [["grow", 0, {}]],
        [["add"]],
        [["add", 0, []]],
        ["add"],
        [None],
        [["add", {}], ["add", {}]],
        [["add", {}], ["remove", {}]],
        [["add", 1.5, {}]],
    ],
)
def test_what_is_no_change_is_refused(asked: list[Any]) -> None:
    with pytest.raises(errors.BadInput) as refused:
        modifications.parse("NIC", asked)
    assert refused.value.code == "wrong_input"


def test_several_changes_at_once_have_the_new_form() -> None:
    asked = [["add", -1, {}], ["add", 0, {}], ["remove", 2, {}]]

    assert len(modifications.parse("disk", asked)) == 3


@pytest.mark.parametrize(
    ("which", "place"), [(0, 0), (-1, 1), ("front", 0), ("u1", 1), ("1", 1), ("-1", 1)]
)
def test_a_device_is_found_by_number_name_and_uuid(which: int | str, place: int) -> None:
    assert modifications.place_of("NIC", Change("remove", which, {}), NICS) == place


@pytest.mark.parametrize("which", [2, -2, "back", ""])
def test_a_device_that_is_not_there_is_not_found(which: int | str) -> None:
    with pytest.raises(errors.BadInput) as refused:
        modifications.place_of("NIC", Change("remove", which, {}), NICS)
    assert refused.value.code == "unknown_entity"


def test_nothing_is_found_where_nothing_is() -> None:
    with pytest.raises(errors.BadInput):
        modifications.place_of("NIC", Change("remove", -1, {}), [])


@pytest.mark.parametrize(("which", "place"), [(-1, 2), (0, 0), (2, 2), ("1", 1)])
def test_a_device_comes_to_a_number_or_the_end(which: int | str, place: int) -> None:
    assert modifications.coming_to("NIC", Change("add", which, {}), NICS) == place


@pytest.mark.parametrize("which", [3, -2, "front"])
def test_a_device_comes_to_no_other_place(which: int | str) -> None:
    with pytest.raises(errors.BadInput):
        modifications.coming_to("NIC", Change("add", which, {}), NICS)


@pytest.mark.parametrize("name", ["front", "7", "-1", "u0"])
def test_a_name_that_is_taken_or_a_number_is_no_name(name: str) -> None:
    with pytest.raises(errors.BadInput):
        modifications.check_names("NIC", [*NICS, Nic(mac="", uuid="u2", name=name)])


def test_names_are_given_kept_and_taken_away() -> None:
    assert modifications.name_of({}, "old") == "old"
    assert modifications.name_of({"name": "new"}, "old") == "new"
    assert modifications.name_of({"name": "None"}, "old") is None
    assert modifications.name_of({"name": ""}, "old") is None
