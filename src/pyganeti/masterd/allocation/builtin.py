"""The built-in allocator: the node that is least full after it got the instance; pure.

A node is passed over if it may get no instances, or if memory, disk or processors do not suffice.
Of the others the one wins whose fullest resource is the least full then; of equals the one with
the fewest instances, then the first by name, so that the same question has the same answer.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors

NAME: Final = "builtin"
"""What it is called where an allocator can be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a node has. Memory and disk in MiB; ``disk_free`` None: not counted."""

    name: str
    usable: bool
    """Whether it may get instances: not offline, not drained, able to run them, and it answered."""

    why_not: str = ""
    memory_total: int = 0
    memory_free: int = 0
    disk_total: int | None = None
    disk_free: int | None = None
    processors: int = 0
    vcpus: int = 0
    """How many its instances have."""

    vcpu_ratio: float = 4.0
    """How many a processor may be shared by, by the group's policy."""

    instances: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What an instance needs. ``disk`` is what it takes on its node alone."""

    memory: int
    disk: int = 0
    vcpus: int = 1
    any_ratio: bool = False
    """Whether its processors may be shared by however many: the policy is to be ignored."""


def refusal(room: Room, need: Need) -> str | None:
    """Return why a node cannot get the instance, None if it can."""
    if not room.usable:
        return room.why_not or "it may get no instances"
    if need.memory > room.memory_free:
        return f"{room.memory_free} MiB of memory free, {need.memory} needed"
    if room.disk_free is not None and need.disk > room.disk_free:
        return f"{room.disk_free} MiB of disk free, {need.disk} needed"
    if need.any_ratio or not room.processors:
        return None
    if room.vcpus + need.vcpus > room.processors * room.vcpu_ratio:
        most = int(room.processors * room.vcpu_ratio)
        return f"{room.vcpus} virtual processors of {most} given out, {need.vcpus} needed"
    return None


def fullness(room: Room, need: Need) -> float:
    """Return how full a node's fullest resource is once it has the instance: 0 to 1."""
    parts = [1 - (room.memory_free - need.memory) / max(1, room.memory_total)]
    if room.disk_free is not None and room.disk_total:
        parts.append(1 - (room.disk_free - need.disk) / room.disk_total)
    if room.processors:
        parts.append((room.vcpus + need.vcpus) / (room.processors * room.vcpu_ratio))
    return max(parts)


def choose(rooms: Iterable[Room], need: Need) -> str:
    """Return the name of the node that gets the instance.

    Raises BadInput, with each node's reason, if none can.
    """
    everyone = sorted(rooms, key=lambda room: room.name)
    refused = [(room.name, why) for room in everyone if (why := refusal(room, need))]
    fitting = [room for room in everyone if refusal(room, need) is None]
    if not fitting:
        reasons = "; ".join(f"{name}: {why}" for name, why in refused) or "there are no nodes"
        raise errors.BadInput(
            f"Can't find a node for the instance: {reasons}", "temp_insufficient_resources"
        )
    best = min(
        fitting, key=lambda room: (round(fullness(room, need), 6), room.instances, room.name)
    )
    return best.name


def choose_by_rank(ranks: Sequence[Sequence[Room]], need: Need) -> str:
    """Return the node that gets the instance, of a later rank only if none of an earlier one can.

    Raises BadInput, with each node's reason, if none can.
    """
    for rank in ranks:
        if any(refusal(room, need) is None for room in rank):
            return choose(rank, need)
    return choose([room for rank in ranks for room in rank], need)


def choose_many(rooms: Sequence[Room], needs: Sequence[Need]) -> list[str]:
    """Return a node for each of several instances, each placed after those before it.

    Raises BadInput if one finds none.
    """
    left = {room.name: room for room in rooms}
    chosen = []
    for need in needs:
        name = choose(left.values(), need)
        left[name] = taken(left[name], need)
        chosen.append(name)
    return chosen


def taken(room: Room, need: Need) -> Room:
    """Return what a node has once it got an instance."""
    return dataclasses.replace(
        room,
        memory_free=room.memory_free - need.memory,
        disk_free=None if room.disk_free is None else room.disk_free - need.disk,
        vcpus=room.vcpus + need.vcpus,
        instances=room.instances + 1,
    )
