"""Groups that are to be filled last get an instance only if no other has room."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.masterd.allocation import builtin

ROOMS = st.lists(
    st.builds(
        builtin.Room,
        name=st.uuids().map(str),
        usable=st.booleans(),
        memory_total=st.just(1000),
        memory_free=st.integers(0, 1000),
        processors=st.integers(1, 4),
        vcpus=st.integers(0, 16),
    ),
    max_size=6,
)
NEEDS = st.builds(builtin.Need, memory=st.integers(1, 900), vcpus=st.integers(1, 4))


@given(ROOMS, ROOMS, NEEDS)
def test_a_later_rank_is_taken_if_and_only_if_no_earlier_one_has_room(
    first: list[builtin.Room], last: list[builtin.Room], need: builtin.Need
) -> None:
    fits_first = {room.name for room in first if builtin.refusal(room, need) is None}
    fits_last = {room.name for room in last if builtin.refusal(room, need) is None}
    if not fits_first | fits_last:
        with pytest.raises(errors.BadInput) as caught:
            builtin.choose_by_rank([first, last], need)
        assert all(room.name in str(caught.value) for room in (*first, *last))
        return
    assert builtin.choose_by_rank([first, last], need) in (fits_first or fits_last)


@given(ROOMS, st.lists(NEEDS, max_size=12))
def test_no_node_is_ever_given_more_than_it_has(
    rooms: list[builtin.Room], needs: list[builtin.Need]
) -> None:
    left = {room.name: room for room in rooms}
    for need in needs:
        try:
            name = builtin.choose_by_rank([list(left.values())], need)
        except errors.BadInput:
            continue
        left[name] = builtin.taken(left[name], need)
    for room in rooms:
        after = left[room.name]
        assert after.memory_free >= 0
        if after is not room:
            assert after.vcpus <= room.processors * room.vcpu_ratio


def test_what_a_node_got_is_no_longer_free() -> None:
    room = builtin.Room(name="a", usable=True, memory_total=10, memory_free=10, disk_free=None)

    after = builtin.taken(room, builtin.Need(memory=4, disk=99, vcpus=2))

    assert after == dataclasses.replace(room, memory_free=6, vcpus=2, instances=1)


def test_processors_are_shared_by_any_number_if_the_policy_is_ignored() -> None:
    room = builtin.Room(name="a", usable=True, memory_free=9, memory_total=9, processors=1, vcpus=4)

    assert builtin.refusal(room, builtin.Need(memory=1)) is not None
    assert builtin.refusal(room, builtin.Need(memory=1, any_ratio=True)) is None
