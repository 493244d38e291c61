"""Where new instances go if nobody says: the requests for an allocator, and what comes of them."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.allocation import answer as answers
from pyganeti.masterd.allocation import builtin, description, rooms
from pyganeti.masterd.ops import allocating
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import newinstance, policy
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

_AUTO: Final = "auto"
_CARD: Final = ("mac", "ip", "mode", "link", "network", "name", "vlan")

Request = Mapping[str, Any]
"""One instance to be placed, in the words of the iallocator protocol."""


def wanted(
    asked: newinstance.Request, backend: Mapping[str, Any], group: str | None = None
) -> Request:
    """Return the request for one instance."""
    disks = [
        {
            "size": int(disk.get("size", 0)),
            "mode": disk.get("mode", "rw"),
            "name": disk.get("name"),
            "spindles": disk.get("spindles"),
            "dev_type": asked.template.value,
        }
        for disk in asked.disks
    ]
    return {
        "name": asked.name,
        "disk_template": asked.template.value,
        "group_name": group,
        "tags": list(asked.tags),
        "os": asked.os,
        "vcpus": backend["vcpus"],
        "memory": backend["maxmem"],
        "spindle_use": backend["spindle_use"],
        "disks": disks,
        "disk_space_total": description.space(disks, asked.template),
        "nics": [_card(card) for card in asked.nics],
        "required_nodes": 1,
        "hypervisor": asked.hypervisor,
    }


async def choose(
    context: contexts.Context,
    requests: Sequence[Request],
    named: str | None,
    *,
    ignore_policy: bool = False,
) -> list[str]:
    """Return a node's name for each request. Raises BadInput if not all can be placed."""
    placed, failed = await choose_some(context, requests, named, ignore_policy=ignore_policy)
    if failed:
        raise errors.BadInput("; ".join(failed.values()), "insufficient_resources")
    return [placed[request["name"]] for request in requests]


async def choose_some(
    context: contexts.Context,
    requests: Sequence[Request],
    named: str | None,
    *,
    ignore_policy: bool = False,
    lenient: Collection[str] = (),
) -> tuple[dict[str, str], dict[str, str]]:
    """Return a node's name by instance, and by instance why there is none.

    The built-in allocator ignores the policies of groups for all, or for ``lenient`` instances.
    """
    name = allocating.name_of(context, named)
    snapshot = context.snapshot
    first = requests[0]
    template = Template(first["disk_template"])
    state = await allocating.described(context, first["hypervisor"], template, name=name)
    if name == builtin.NAME:
        placed, failed = built_in(
            snapshot, state, requests, ignore_policy=ignore_policy, lenient=lenient
        )
    else:
        placed, failed = await _external(context, name, state, requests)
    for instance, node in placed.items():
        context.info(f"Selected nodes for instance {instance} via iallocator {name}: {node}")
    return placed, failed


def built_in(
    snapshot: Snapshot,
    state: Mapping[str, Any],
    requests: Sequence[Request],
    *,
    ignore_policy: bool = False,
    lenient: Collection[str] = (),
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the built-in allocator decides, as `choose_some` does; pure."""
    placed: dict[str, str] = {}
    failed: dict[str, str] = {}
    known = {counts: rooms.places(state, counts_disk=counts) for counts in (True, False)}
    for request in requests:
        template = Template(request["disk_template"])
        counts = description.storage_unit(snapshot, template) is not None
        is_free = ignore_policy or request["name"] in lenient
        need = builtin.Need(
            memory=request["memory"],
            disk=request["disk_space_total"],
            vcpus=request["vcpus"],
            any_ratio=is_free,
        )
        refused = _refused(snapshot, state, request, ignore_policy=is_free)
        try:
            node = builtin.choose_by_rank(rooms.by_rank(known[counts], refused), need)
        except errors.BadInput as error:
            failed[request["name"]] = str(error)
            continue
        placed[request["name"]] = node
        for of_kind in known.values():
            place = of_kind[node]
            of_kind[node] = dataclasses.replace(place, room=builtin.taken(place.room, need))
    return placed, failed


def _refused(
    snapshot: Snapshot, state: Mapping[str, Any], request: Request, *, ignore_policy: bool
) -> dict[str, str]:
    """Return the groups that cannot have an instance, and why."""
    found = {}
    only = snapshot.group(request["group_name"]).uuid if request["group_name"] else None
    spec = policy.Spec(
        memory=request["memory"],
        vcpus=request["vcpus"],
        spindle_use=request["spindle_use"],
        disks=[disk["size"] for disk in request["disks"]],
        nics=len(request["nics"]),
        template=request["disk_template"],
    )
    for uuid, group in state["nodegroups"].items():
        if only not in {None, uuid}:
            found[uuid] = f"it is not in group {request['group_name']}"
        elif not ignore_policy and (wrong := policy.violations(group["ipolicy"], spec)):
            found[uuid] = f"policy of its group {group['name']}: {', '.join(wrong)}"
    return found


async def _external(
    context: contexts.Context,
    name: str,
    state: Mapping[str, Any],
    requests: Sequence[Request],
) -> tuple[dict[str, str], dict[str, str]]:
    known = state["nodes"]
    if len(requests) == 1:
        request = requests[0]
        found = await allocating.solve(context, name, state, {**request, "type": "allocate"})
        return {request["name"]: answers.one_node(found, known)}, {}
    asked = {"instances": list(requests), "type": "multi-allocate"}
    found = await allocating.solve(context, name, state, asked)
    placed, failed = answers.many(found, [request["name"] for request in requests], known)
    words = f"Can't compute nodes using iallocator '{name}'"
    return placed, {instance: f"{words} for {instance}" for instance in failed}


def _card(card: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: card.get(key) for key in _CARD}
    return {**told, "mac": card.get("mac") or _AUTO}
