"""OP_INSTANCE_GROW_DISK: a disk gets larger, and a running guest hears of it.

The nodes are asked first whether they could. The configuration has the new size once they have
done it: a crash in between leaves a disk that is larger than the configuration says; growing it to
an absolute size then does what is left.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, disks, hookenv, locking, making, policy
from pyganeti.model import instancestatus
from pyganeti.model.config import filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template
from pyganeti.model.opcodes import instance as opcodes

_FIXED: Final = frozenset({Template.BLOCK, Template.DISKLESS})
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """Which disk grows, by how much, to what; in MiB."""

    instance: Instance
    disk: Disk
    delta: int
    target: int


class GrowDisk(operation.Operation[opcodes.InstanceGrowDisk, Plan]):
    """Makes one disk larger, whether its instance runs or not."""

    opcode = opcodes.InstanceGrowDisk

    def locks(self, op: opcodes.InstanceGrowDisk, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, and keep its nodes from being changed."""
        return locking.with_nodes(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceGrowDisk) -> Plan:
        """Check nodes, disk, room and policy."""
        snapshot = context.snapshot
        instance = locking.find(snapshot, op)
        nodes = snapshot.nodes_of(instance)
        for node in nodes:
            checks.online(node)
        try:
            disk = snapshot.disks_of(instance)[op.disk]
        except IndexError as error:
            raise errors.BadInput(
                f"Invalid disk index passed: {op.disk} (instance has {len(instance.disks)} disks)"
            ) from error
        if disk.dev_type in _FIXED:
            raise errors.BadInput(
                f"Instance's disk layout {disk.dev_type.value} does not support growing"
            )
        target = op.amount if op.absolute else disk.size + op.amount
        if target < disk.size:
            raise errors.BadInput(
                f"Requested size ({target} MiB) is smaller than current disk size"
                f" ({disk.size} MiB)",
                "wrong_state",
            )
        delta = target - disk.size
        if disk.dev_type is Template.PLAIN:
            for node in nodes:
                if not _is_exclusive(snapshot, node):
                    group = str(disk.logical_id[0])
                    await checks.volumes(context, snapshot, node, {group: delta})
        _check_policy(context, op, instance, disk, target)
        return Plan(instance, disk, delta, target)

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceGrowDisk, plan: Plan
    ) -> operation.Hooks:
        """Run on the master and the instance's nodes."""
        instance = context.snapshot.instances[plan.instance.uuid]
        environment = {
            "DISK": op.disk,
            "AMOUNT": op.amount,
            "ABSOLUTE": op.absolute,
            **hookenv.of(context.snapshot, instance),
        }
        return hookenv.around(context.snapshot, "disk-grow", instance, environment)

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceGrowDisk, plan: Plan
    ) -> None:
        """Have it grow, and its guest told."""
        instance = plan.instance
        await disks.assemble(context, instance, only=[plan.disk])
        context.say(
            f"Growing disk {op.disk} of instance '{instance.name}' by {plan.delta} MiB"
            f" to {plan.target} MiB"
        )
        await self._grow(context, plan)
        disk = await _record(context, plan)
        if context.snapshot.cluster.prealloc_wipe_disks:
            await making.wipe(context, instance, [disk], since=plan.disk.size)
        if op.wait_for_sync:
            await making.check(context, instance, [disk])
            if not context.snapshot.instances[instance.uuid].disks_active:
                await disks.shut_down(context, instance, only=[disk])
        elif not instance.disks_active:
            context.warn(
                "Not shutting down the disk even if the instance is not supposed to be running"
                " because no wait for sync mode was requested"
            )
        await self._tell_guest(context, plan, disk)

    async def _grow(self, context: contexts.Context, plan: Plan) -> None:
        """Ask all nodes whether they can, then have them do it, then what lies above."""
        snapshot = context.snapshot
        nodes = snapshot.nodes_of(plan.instance)
        steps = [(node, True, True) for node in nodes]
        steps += [(node, False, True) for node in nodes]
        steps.append((nodes[0], False, False))
        for node, is_rehearsal, is_below in steps:
            told = rpcargs.disk_for_node(snapshot, plan.instance, plan.disk, node)
            exclusive = _is_exclusive(snapshot, node)
            try:
                await context.nodes.call(
                    node, "blockdev_grow", told, plan.delta, is_rehearsal, is_below, exclusive
                )
            except errors.Failure as error:
                what = "Dry-run grow" if is_rehearsal else "Grow"
                raise errors.Failure(
                    f"{what} request failed to node {node.name}: {error}"
                ) from error

    async def _tell_guest(self, context: contexts.Context, plan: Plan, disk: Disk) -> None:
        snapshot = context.snapshot
        instance = snapshot.instances[plan.instance.uuid]
        node = snapshot.nodes[instance.primary_node]
        said = await checks.running(context, snapshot, instance, node)
        if said is None or instancestatus.is_shutdown(said.get("state")):
            return
        context.say("Try to notify the Hypervisor about the disk change")
        instance_told = rpcargs.instance_for_node(snapshot, instance)
        told: dict[str, Any] = rpcargs.disk_for_node(snapshot, instance, disk, node)
        size = plan.target * _MEBIBYTE
        try:
            await context.nodes.call(node, "resize_disk", instance_told, told, size)
        except errors.Failure as error:
            context.warn(f"Failed to notify the Hypervisor about the disk change: {error}")


async def _record(context: contexts.Context, plan: Plan) -> Disk:
    def edit(changed: draft.Draft) -> Disk:
        changed.touch(changed.snapshot.instance(plan.instance.uuid))
        present = changed.snapshot.disks[plan.disk.uuid or ""]
        return changed.put(msgspec.structs.replace(present, size=plan.target))

    return await context.change(edit)


def _is_exclusive(snapshot: Snapshot, node: Node) -> bool:
    filled = filling.node(snapshot.cluster, snapshot.group_of(node), node)
    return bool(filled["exclusive_storage"])


def _check_policy(
    context: contexts.Context,
    op: opcodes.InstanceGrowDisk,
    instance: Instance,
    disk: Disk,
    target: int,
) -> None:
    snapshot = context.snapshot
    group = snapshot.group_of(snapshot.nodes[instance.primary_node])
    spec = policy.of(snapshot, instance, sizes={disk.uuid or "": target})
    found = [
        words
        for words in policy.violations(filling.policy(snapshot.cluster, group), spec)
        if words.startswith("disk-")
    ]
    if not found:
        return
    words = f"Growing disk {op.disk} violates policy: {', '.join(found)}"
    if not op.ignore_ipolicy:
        raise errors.BadInput(words)
    context.warn(words)


OPERATION = GrowDisk()
