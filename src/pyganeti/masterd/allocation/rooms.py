"""What room there is on the nodes of a cluster that is described as for allocators; pure."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.masterd.allocation import builtin

_RANKS: Final = {"preferred": 0, "last_resort": 1}
"""Groups by their allocation policy, the best first; others get nothing."""

_OFFLINE: Final = "offline"
"""The admin state of instances that take nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node's room, its group, and how soon that is to be filled: 0 first."""

    room: builtin.Room
    group: str
    rank: int


def places(described: Mapping[str, Any], *, counts_disk: bool) -> dict[str, Place]:
    """Return each node's room by its name. With ``counts_disk`` disks need room of their own."""
    placed: dict[str, list[int]] = {}
    for one in described["instances"].values():
        vcpus = 0 if one["admin_state"] == _OFFLINE else one["vcpus"]
        placed.setdefault(one["nodes"][0], []).append(vcpus)
    found = {}
    for name, node in described["nodes"].items():
        group = described["nodegroups"][node["group"]]
        rank = _RANKS.get(group["alloc_policy"])
        why_not = _why_not(node)
        if rank is None:
            rank, why_not = 0, f"its group {group['name']} is {group['alloc_policy']}"
        given = placed.get(name, [])
        room = builtin.Room(
            name=name,
            usable=not why_not,
            why_not=why_not,
            memory_total=node.get("total_memory", 0),
            memory_free=node.get("free_memory", 0),
            disk_total=node.get("total_disk", 0) if counts_disk else None,
            disk_free=node.get("free_disk", 0) if counts_disk else None,
            processors=node.get("total_cpus", 0),
            vcpus=sum(given),
            vcpu_ratio=float(group["ipolicy"]["vcpu-ratio"]),
            instances=len(given),
        )
        found[name] = Place(room, node["group"], rank)
    return found


def by_rank(known: Mapping[str, Place], refused: Mapping[str, str]) -> list[list[builtin.Room]]:
    """Return rooms, those first whose groups are to be filled first.

    ``refused`` are groups, by uuid, that cannot have the instance, and why.
    """
    ranks: list[list[builtin.Room]] = [[] for _ in _RANKS]
    for place in known.values():
        room, why_not = place.room, refused.get(place.group)
        if why_not and room.usable:
            room = dataclasses.replace(room, usable=False, why_not=why_not)
        ranks[place.rank].append(room)
    return ranks


def _why_not(node: Mapping[str, Any]) -> str:
    if node["offline"]:
        return "it is offline"
    if node["drained"]:
        return "it is drained"
    if not node["vm_capable"]:
        return "it runs no instances"
    if "error" in node:
        return str(node["error"])
    return "" if "total_memory" in node else "it was not asked"
