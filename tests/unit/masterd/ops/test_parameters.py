"""Parameters get the types that they should have, also where clients send them as text."""

from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.masterd.ops import parameters

RIGHT = {"count": 1, "ratio": 1.0, "on": False, "path": ""}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"count": "4"}, {"count": 4}),
        ({"count": 4.0}, {"count": 4}),
        ({"ratio": 2}, {"ratio": 2.0}),
        ({"ratio": "0.5"}, {"ratio": 0.5}),
        ({"on": "True"}, {"on": True}),
        ({"on": "no"}, {"on": False}),
        ({"on": True}, {"on": True}),
        ({"path": "/x"}, {"path": "/x"}),
        ({"path": False}, {"path": ""}),
        ({"count": "default", "on": "default"}, {"count": "default", "on": "default"}),
    ],
)
def test_what_can_be_of_its_type_becomes_it(given: Any, found: Any) -> None:
    typed = parameters.typed(given, RIGHT, "test")

    assert typed == found
    assert [type(value) for value in typed.values()] == [type(value) for value in found.values()]


@pytest.mark.parametrize(
    "given",
    [
        {"count": "many"},
        {"count": True},
        {"count": 1.5},
        {"count": None},
        {"ratio": "x"},
        {"ratio": []},
        {"on": "maybe"},
        {"on": 1},
        {"path": 3},
        {"path": True},
        {"nosuch": 1},
    ],
)
def test_what_cannot_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(errors.BadInput, match=next(iter(given))):
        parameters.typed(given, RIGHT, "test")


def test_default_takes_one_away() -> None:
    assert parameters.merged({"a": 1, "b": 2}, {"a": "default", "c": 3}) == {"b": 2, "c": 3}
    assert parameters.merged({"a": 1}, {"a": None}, null_takes_away=True) == {}
