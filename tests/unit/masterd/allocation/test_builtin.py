import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.masterd.allocation import builtin

ROOM = builtin.Room(
    name="a",
    usable=True,
    memory_total=1000,
    memory_free=600,
    disk_total=1000,
    disk_free=500,
    processors=2,
)
NEED = builtin.Need(memory=100, disk=100, vcpus=1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"usable": False, "why_not": "offline"}, "offline"),
        ({"memory_free": 99}, "memory"),
        ({"disk_free": 99}, "disk"),
        ({"vcpus": 8}, "virtual processors"),
    ],
)
def test_a_node_that_cannot_says_why(changes: dict[str, object], why: str) -> None:
    room = dataclasses.replace(ROOM, **changes)  # type: ignore[arg-type]

    assert why in (builtin.refusal(room, NEED) or "")
    with pytest.raises(errors.BadInput, match=why):
        builtin.choose([room], NEED)


def test_disk_that_is_not_counted_refuses_nobody() -> None:
    assert builtin.refusal(dataclasses.replace(ROOM, disk_free=None), NEED) is None


def test_the_emptiest_node_wins() -> None:
    full = dataclasses.replace(ROOM, name="b", memory_free=200)

    assert builtin.choose([full, ROOM], NEED) == "a"


def test_of_equals_the_one_with_fewer_instances_wins_then_the_first() -> None:
    other = dataclasses.replace(ROOM, name="b")

    assert builtin.choose([other, ROOM], NEED) == "a"
    assert builtin.choose([other, dataclasses.replace(ROOM, instances=1)], NEED) == "b"


def test_without_nodes_there_is_no_place() -> None:
    with pytest.raises(errors.BadInput, match="there are no nodes"):
        builtin.choose([], NEED)


ROOMS = st.lists(
    st.builds(
        builtin.Room,
        name=st.uuids().map(str),
        usable=st.just(value=True),
        memory_total=st.just(4096),
        memory_free=st.integers(0, 4096),
        disk_total=st.just(4096),
        disk_free=st.integers(0, 4096),
        processors=st.integers(1, 8),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda room: room.name,
)
NEEDS = st.lists(
    st.builds(
        builtin.Need,
        memory=st.integers(1, 1024),
        disk=st.integers(0, 1024),
        vcpus=st.integers(1, 2),
    ),
    min_size=1,
    max_size=6,
)


@given(ROOMS, NEEDS)
def test_no_node_ever_gets_more_than_it_has(
    rooms: list[builtin.Room], needs: list[builtin.Need]
) -> None:
    try:
        chosen = builtin.choose_many(rooms, needs)
    except errors.BadInput:
        return
    left = {room.name: room for room in rooms}
    for name, need in zip(chosen, needs, strict=True):
        left[name] = builtin.taken(left[name], need)
    for room in left.values():
        assert room.memory_free >= 0
        assert room.disk_free is not None
        assert room.disk_free >= 0
        assert room.vcpus <= room.processors * room.vcpu_ratio
    assert builtin.choose_many(list(reversed(rooms)), needs) == chosen
