"""What room there is on the nodes of a cluster that is described as for allocators; pure."""

from collections.abc import Mapping
from typing import Any, Final

from pyganeti.masterd.allocation import builtin

_RANKS: Final = {"preferred": 0, "last_resort": 1}
"""Groups by their allocation policy, the best first; others get nothing."""


def by_rank(
    described: Mapping[str, Any], *, counts_disk: bool, refused: Mapping[str, str]
) -> list[list[builtin.Room]]:
    """Return each node's room, those first whose groups are to be filled first.

    ``refused`` are groups, by uuid, that cannot have the instance, and why. With ``counts_disk``
    nodes need room for disks of their own.
    """
    ranks: list[list[builtin.Room]] = [[], []]
    for name, node in described["nodes"].items():
        group = described["nodegroups"][node["group"]]
        rank = _RANKS.get(group["alloc_policy"])
        why_not = _why_not(node) or refused.get(node["group"], "")
        if rank is None:
            rank, why_not = 0, f"its group {group['name']} is {group['alloc_policy']}"
        placed = [one for one in described["instances"].values() if one["nodes"][:1] == [name]]
        ranks[rank].append(
            builtin.Room(
                name=name,
                usable=not why_not,
                why_not=why_not,
                memory_total=node.get("total_memory", 0),
                memory_free=node.get("free_memory", 0),
                disk_total=node.get("total_disk", 0) if counts_disk else None,
                disk_free=node.get("free_disk", 0) if counts_disk else None,
                processors=node.get("total_cpus", 0),
                vcpus=sum(one["vcpus"] for one in placed),
                vcpu_ratio=float(group["ipolicy"]["vcpu-ratio"]),
                instances=len(placed),
            )
        )
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
