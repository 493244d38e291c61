"""A cluster as allocators are told about it, in Ganeti's words; pure.

The text of Ganeti's iallocator protocol, version 2: what external programs such as hail read, and
what the built-in allocator decides by. What nodes answered is put in as far as they did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

VERSION: Final = 2
_BRIDGED: Final = "bridged"
_MIXED: Final = "mixed"
_REPORTED: Final = {Template.FILE: "file", Template.PLAIN: "lvm-vg", Template.DRBD: "lvm-vg"}
"""Templates of whose storage nodes can say how much is free, and what the storage is called."""

_MIRRORING: Final = 128
"""MiB that a mirrored disk takes beside its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a node answered to node_info and all_instances_info; ``error`` if it did not."""

    info: Any = None
    instances: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def storage_unit(snapshot: Snapshot, template: Template) -> tuple[str, str] | None:
    """Return which storage nodes are asked about for a template, None if there is none to ask."""
    kind = _REPORTED.get(template)
    if kind is None:
        return None
    cluster = snapshot.cluster
    name = cluster.file_storage_dir if kind == "file" else cluster.volume_group_name
    return (kind, name) if name else None


def of_cluster(
    snapshot: Snapshot, said: Mapping[str, Said], template: Template, *, brief: bool = False
) -> dict[str, Any]:
    """Return all but the request; ``said`` is by the uuid of those nodes that were asked.

    ``brief``: of instances no more than the built-in allocator looks at, in a fifth of the time.

    A node that did not answer, or did not say all, has an ``error`` among its attributes: external
    allocators must not be given those, see `complete`.
    """
    cluster = snapshot.cluster
    instance_of = _brief if brief else _instance
    return {
        "version": VERSION,
        "cluster_name": cluster.cluster_name,
        "cluster_tags": sorted(cluster.tags),
        "enabled_hypervisors": list(cluster.enabled_hypervisors),
        "ipolicy": filling.policy(cluster),
        "nodegroups": {
            group.uuid: {
                "name": group.name,
                "alloc_policy": group.alloc_policy,
                "networks": list(group.networks),
                "ipolicy": filling.policy(cluster, group),
                "tags": sorted(group.tags),
            }
            for group in snapshot.groups.values()
        },
        "nodes": _nodes(snapshot, said, template),
        "instances": {
            instance.name: instance_of(snapshot, instance)
            for instance in snapshot.instances.values()
            if instance.name and instance.primary_node
        },
    }


def complete(described: Mapping[str, Any]) -> None:
    """Raise BadInput if a node that has to be known of did not say all."""
    for name, node in described["nodes"].items():
        if "error" in node:
            raise errors.BadInput(
                f"Can't get data for node {name}: {node['error']}", "environment_error"
            )


def space(disks: list[dict[str, Any]], template: Template) -> int:
    """Return how many MiB disks take on a node."""
    if template in {Template.DISKLESS, Template.BLOCK, Template.RBD, Template.EXT}:
        return 0
    extra = _MIRRORING if template is Template.DRBD else 0
    return sum(int(disk["size"]) + extra for disk in disks)


def _nodes(
    snapshot: Snapshot, said: Mapping[str, Said], template: Template
) -> dict[str, dict[str, Any]]:
    cluster = snapshot.cluster
    found = {}
    for node in snapshot.nodes.values():
        basic: dict[str, Any] = {
            "tags": sorted(node.tags),
            "primary_ip": node.primary_ip,
            "secondary_ip": node.secondary_ip,
            "offline": node.offline,
            "drained": node.drained,
            "master_candidate": node.master_candidate,
            "group": node.group,
            "master_capable": node.master_capable,
            "vm_capable": node.vm_capable,
            "ndparams": filling.node(cluster, snapshot.group_of(node), node),
        }
        answer = said.get(node.uuid)
        if node.vm_capable and not node.offline and answer is not None:
            basic = {**_resources(snapshot, node.uuid, answer, template), **basic}
        found[node.name] = basic
    return found


def _resources(snapshot: Snapshot, uuid: str, said: Said, template: Template) -> dict[str, Any]:
    if said.error is not None:
        return {"error": said.error}
    try:
        _, storage, (hypervisor,) = said.info
        numbers = {
            name: _whole(hypervisor[key])
            for name, key in (
                ("total_memory", "memory_total"),
                ("reserved_memory", "memory_dom0"),
                ("free_memory", "memory_free"),
                ("total_cpus", "cpu_total"),
                ("reserved_cpus", "cpu_dom0"),
            )
        }
        numbers |= _storage(storage, _REPORTED.get(template))
    except (LookupError, TypeError, ValueError) as error:
        return {"error": f"it does not say all about itself ({error!r})"}
    wanted = wanted_up = 0
    for instance in snapshot.instances_on(snapshot.nodes[uuid]):
        memory = filling.backend(snapshot.cluster, instance.beparams)["maxmem"]
        wanted += memory
        if instance.admin_state == "up" and not instance.forthcoming:
            wanted_up += memory
            running = said.instances.get(instance.name)
            used = running.get("memory", 0) if isinstance(running, Mapping) else 0
            numbers["free_memory"] -= max(0, memory - int(used))
    return {**numbers, "i_pri_memory": wanted, "i_pri_up_memory": wanted_up}


def _storage(storage: Any, kind: str | None) -> dict[str, int]:  # noqa: ANN401 - JSON
    numbers = {"total_disk": 0, "free_disk": 0, "total_spindles": 0, "free_spindles": 0}
    if kind is None:
        return numbers
    for unit in storage or ():
        names = {kind: "disk", "lvm-pv": "spindles"}
        name = names.get(unit["type"])
        if name is not None and unit.get("storage_size") is not None:
            numbers[f"total_{name}"] = _whole(unit["storage_size"])
            numbers[f"free_{name}"] = _whole(unit["storage_free"])
    return numbers


def _whole(value: Any) -> int:  # noqa: ANN401 - JSON
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return int(value)


def _brief(snapshot: Snapshot, instance: Instance) -> dict[str, Any]:
    return {
        "admin_state": instance.admin_state,
        "vcpus": filling.backend(snapshot.cluster, instance.beparams)["vcpus"],
        "nodes": [snapshot.nodes[instance.primary_node].name],
    }


def _instance(snapshot: Snapshot, instance: Instance) -> dict[str, Any]:
    cluster = snapshot.cluster
    backend = filling.backend(cluster, instance.beparams)
    disks = snapshot.disks_of(instance)
    nics = []
    for nic in instance.nics:
        filled = filling.nic(cluster, nic.nicparams)
        told = {"mac": nic.mac, "ip": nic.ip, "mode": filled["mode"], "link": filled["link"]}
        if filled["mode"] == _BRIDGED:
            told["bridge"] = filled["link"]
        nics.append(told)
    templates = {disk.dev_type for disk in disks} or {Template.DISKLESS}
    described = [
        {
            "dev_type": disk.dev_type.value,
            "size": disk.size,
            "mode": disk.mode,
            "spindles": disk.spindles,
        }
        for disk in disks
    ]
    return {
        "tags": sorted(instance.tags),
        "admin_state": instance.admin_state,
        "vcpus": backend["vcpus"],
        "memory": backend["maxmem"],
        "spindle_use": backend["spindle_use"],
        "os": instance.os,
        "nodes": [node.name for node in snapshot.nodes_of(instance)],
        "nics": nics,
        "disks": described,
        "disk_template": templates.pop().value if len(templates) == 1 else _MIXED,
        "disks_active": instance.disks_active,
        "hypervisor": instance.hypervisor,
        "disk_space_total": sum(
            space([one], disk.dev_type) for one, disk in zip(described, disks, strict=True)
        ),
    }
