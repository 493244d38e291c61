from typing import Any

import msgspec
import pytest

from pyganeti.base import errors
from pyganeti.noded import calls
from pyganeti.noded import node as nodes


class _Thing(msgspec.Struct):
    name: str
    size: int = 0


async def _handle(
    _node: nodes.Node,
    instance: dict[str, Any],
    timeout: float,
    trail: calls.Trail,
    thing: _Thing | None = None,
) -> None:
    del instance, timeout, trail, thing


_BOUND = calls.Bound(calls.Call("instance_shutdown", _handle, calls.by(0)))
_TRAIL = [["gnt:client", "stop", 1795242352043404032]]


def test_arguments_come_as_their_types() -> None:
    checked = _BOUND.check([{"name": "web1"}, 5, _TRAIL, {"name": "x"}])
    assert checked[2] == [("gnt:client", "stop", 1795242352043404032)]
    assert checked[3] == _Thing("x")
    assert _BOUND.call.serial(checked) == "web1"


def test_the_trail_is_found_and_is_empty_where_none_is_taken() -> None:
    assert _BOUND.trail(_BOUND.check([{}, 5, _TRAIL])) == [tuple(_TRAIL[0])]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "takes 3 to 4 arguments, not 0"),
        ([{}, 5], "takes 3 to 4 arguments, not 2"),
        ([{}, 5, [], None, 1], "takes 3 to 4 arguments, not 5"),
        ([{}, "5", []], "argument timeout"),
        ([[], 5, []], "argument instance"),
        ([{}, 5, [[1, 2, 3]]], "argument trail"),
        ([{}, 5, [], {"size": 1}], "argument thing"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[Any], said: str) -> None:
    with pytest.raises(errors.BadInput, match=said):
        _BOUND.check(arguments)


def test_a_things_name_is_found_in_whatever_carries_it() -> None:
    key = calls.by(0)
    assert key(["web1"]) == "web1"
    assert key([{"name": "web1"}]) == "web1"
    assert key([_Thing("web1")]) == "web1"
    assert key([{"name": 5}]) is None
    assert key([5]) is None


def test_a_call_of_ganetis_that_is_missing_is_said_by_name() -> None:
    table = calls.Table([[calls.Call("instance_shutdown", _handle)]])
    assert table.find("instance_shutdown") is not None
    assert table.find("no_such_call") is None
    with pytest.raises(
        errors.Unavailable, match=r"^version is not implemented by this node daemon"
    ):
        table.find("version")


def test_two_calls_of_one_name_are_a_mistake() -> None:
    call = calls.Call("version", _handle)
    with pytest.raises(ValueError, match="two calls named version"):
        calls.Table([[call], [call]])
