"""OP_INSTANCE_QUERY_DATA: everything about instances, as ``gnt-instance info`` shows it.

A node that does not answer leaves holes, which is told, and not a failure for all.
"""

import asyncio
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, hookenv
from pyganeti.model import instancestatus
from pyganeti.model.config import codec, filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes

_STATUS: Final = (
    "dev_path",
    "major",
    "minor",
    "sync_percent",
    "estimated_time",
    "is_degraded",
    "ldisk_status",
)


class QueryData(operation.Operation[opcodes.InstanceQueryData, tuple[Instance, ...]]):
    """Answers what the configuration has and, unless ``static``, what the nodes say."""

    opcode = opcodes.InstanceQueryData

    def locks(self, op: opcodes.InstanceQueryData, snapshot: Snapshot) -> levels.Wanted:
        """Keep the instances as they are while nodes are asked."""
        if op.static and not op.use_locking:
            return {}
        names = [instance.name for instance in _wanted(snapshot, op)]
        return {levels.Level.INSTANCE: levels.shared(names if op.instances else levels.ALL)}

    async def prepare(
        self, context: contexts.Context, op: opcodes.InstanceQueryData
    ) -> tuple[Instance, ...]:
        """Find the instances."""
        return _wanted(context.snapshot, op)

    async def execute(
        self,
        context: contexts.Context,
        op: opcodes.InstanceQueryData,
        plan: tuple[Instance, ...],
    ) -> dict[str, Any]:
        """Gather it, of all instances at once."""
        snapshot = context.snapshot
        found = await asyncio.gather(
            *(_about(context, snapshot, instance, static=op.static) for instance in plan)
        )
        return {instance.name: told for instance, told in zip(plan, found, strict=True)}


def _wanted(snapshot: Snapshot, op: opcodes.InstanceQueryData) -> tuple[Instance, ...]:
    if op.instances:
        uuids = dict.fromkeys(snapshot.instance(name).uuid for name in op.instances)
        return tuple(snapshot.instances[uuid] for uuid in uuids)
    return tuple(sorted(snapshot.instances.values(), key=lambda one: one.name))


async def _about(
    context: contexts.Context, snapshot: Snapshot, instance: Instance, *, static: bool
) -> dict[str, Any]:
    cluster = snapshot.cluster
    node = snapshot.nodes[instance.primary_node]
    is_asked = not (static or node.offline)
    if node.offline:
        context.warn(
            f"Primary node {node.name} is marked offline, returning static information only for"
            f" instance {instance.name}"
        )
    state = await _run_state(context, snapshot, instance, node) if is_asked else None
    disks = snapshot.disks_of(instance)
    secondaries = [snapshot.nodes[uuid] for uuid in snapshot.secondaries_of(instance)]
    group = snapshot.group_of(node)
    return {
        "name": instance.name,
        "config_state": instance.admin_state,
        "run_state": state,
        "pnode": node.name,
        "pnode_group_uuid": group.uuid,
        "pnode_group_name": group.name,
        "snodes": [one.name for one in secondaries],
        "snodes_group_uuids": [one.group for one in secondaries],
        "snodes_group_names": [snapshot.group_of(one).name for one in secondaries],
        "os": instance.os,
        "nics": [_nic(snapshot, nic) for nic in instance.nics],
        "disk_template": hookenv.template_of(disks),
        "disks": [
            await _disk(context, snapshot, instance, disk, is_asked=is_asked and state is not None)
            for disk in disks
        ],
        "hypervisor": instance.hypervisor,
        "network_port": instance.network_port,
        "hv_instance": dict(instance.hvparams),
        "hv_actual": filling.without_globals(filling.hypervisor_of(cluster, instance)),
        "be_instance": dict(instance.beparams),
        "be_actual": filling.backend(cluster, instance.beparams),
        "os_instance": dict(instance.osparams),
        "os_actual": filling.operating_system(cluster, instance.os, instance.osparams),
        "serial_no": instance.serial_no,
        "mtime": instance.mtime,
        "ctime": instance.ctime,
        "uuid": instance.uuid,
    }


async def _run_state(
    context: contexts.Context, snapshot: Snapshot, instance: Instance, node: Node
) -> str | None:
    """Return how it is by what its node says: up, down, user down or offline; None if unknown."""
    try:
        said = await checks.running(context, snapshot, instance, node)
    except errors.BadInput as error:
        context.warn(f"Nothing is known of instance {instance.name}: {error}")
        return None
    if said is not None and "state" in said:
        if not instancestatus.is_shutdown(said["state"]):
            return "up"
        return "user down" if checks.is_user_down(snapshot, instance, said) else "down"
    if instance.admin_state == "down" and instance.admin_state_source == "user":
        return "user down"
    return "offline" if instance.admin_state == "offline" else "down"


def _nic(snapshot: Snapshot, nic: Nic) -> list[Any]:
    """Return a network card as hooks' environments are made from it: a row."""
    params = filling.nic(snapshot.cluster, nic.nicparams)
    network = None
    if nic.network and nic.network in snapshot.networks:
        network = codec.to_wire(snapshot.networks[nic.network])
    return [
        nic.name,
        nic.uuid,
        nic.ip,
        nic.mac,
        params["mode"],
        params["link"],
        params.get("vlan"),
        nic.network,
        network,
    ]


async def _disk(
    context: contexts.Context,
    snapshot: Snapshot,
    instance: Instance,
    disk: Disk,
    *,
    is_asked: bool,
    secondary: Node | None = None,
) -> dict[str, Any]:
    primary = snapshot.nodes[instance.primary_node]
    shown: list[Any] = list(disk.logical_id)
    mirror = None
    if disk.is_mirrored:
        first, second, port, minor, other_minor, *_ = disk.logical_id
        here, there = (minor, other_minor) if first == primary.uuid else (other_minor, minor)
        secondary = snapshot.nodes.get(second if first == primary.uuid else first)
        mirror = {
            "primary_node": primary.name,
            "primary_minor": here,
            "secondary_node": None if secondary is None else secondary.name,
            "secondary_minor": there,
            "port": port,
        }
        shown = [*disk.logical_id[:-1], None]  # the last is a secret
    on_primary = on_secondary = None
    if is_asked:
        on_primary = await _status(context, snapshot, instance, disk, primary)
        if secondary is not None:
            on_secondary = await _status(context, snapshot, instance, disk, secondary)
    return {
        "iv_name": disk.iv_name,
        "dev_type": disk.dev_type.value,
        "logical_id": shown,
        "drbd_info": mirror,
        "pstatus": on_primary,
        "sstatus": on_secondary,
        "children": [
            await _disk(context, snapshot, instance, child, is_asked=is_asked, secondary=secondary)
            for child in disk.children
        ],
        "mode": disk.mode,
        "size": disk.size,
        "spindles": disk.spindles,
        "name": disk.name,
        "uuid": disk.uuid,
    }


async def _status(
    context: contexts.Context, snapshot: Snapshot, instance: Instance, disk: Disk, node: Node
) -> list[Any] | None:
    """Return how a disk is on a node; None if it is not active there, or that is not known."""
    if node.offline:
        return None
    told = rpcargs.disk_for_node(snapshot, instance, disk, node)
    try:
        said = await context.nodes.call(node, "blockdev_find", told)
    except errors.Failure as error:
        context.warn(f"Can't compute disk status for {instance.name}: {error}")
        return None
    return [said.get(name) for name in _STATUS] if isinstance(said, dict) else None


OPERATION = QueryData()
