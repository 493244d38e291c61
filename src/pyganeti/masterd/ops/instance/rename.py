"""OP_INSTANCE_RENAME: an instance gets another name, and so do its files and what is on its disks.

Its directories are renamed before the configuration is: who is cut short in between asks for the
same again, and the node finds that part done. Where the OS's own script fails that is told, and
the instance has its new name all the same.
"""

import posixpath
from dataclasses import dataclass
from typing import Final

import msgspec

from pyganeti.base import errors, services
from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, disks, hookenv, locking, naming, newdisks
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes

_INFO: Final = "originstname+"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which instance, and its new name in full."""

    instance: Instance
    name: str


class Rename(operation.Operation[opcodes.InstanceRename, Plan]):
    """Renames an instance; answers its new name."""

    opcode = opcodes.InstanceRename

    def locks(self, op: opcodes.InstanceRename, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, by both its names."""
        return _locks(snapshot, op, naming.normalized(op.new_name))

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceRename) -> Plan:
        """Check that it is down, that its node is there, and that nobody has the name."""
        snapshot = context.snapshot
        instance = locking.find(snapshot, op)
        if op.ip_check and not op.name_check:
            raise errors.BadInput("IP address check requires a name check")
        checks.online(snapshot.nodes[instance.primary_node])
        checks.state(instance, {"down", "offline"})
        name = naming.normalized(op.new_name)
        if op.name_check:
            name = await self._resolve(context, op, name)
        if name != instance.name and any(one.name == name for one in snapshot.instances.values()):
            raise errors.BadInput(f"Instance '{name}' is already in the cluster", "already_exists")
        return Plan(instance, name)

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceRename, plan: Plan
    ) -> operation.Hooks:
        """Run on the master and the instance's nodes."""
        del op
        instance = context.snapshot.instances[plan.instance.uuid]
        environment = {
            **hookenv.of(context.snapshot, instance),
            "INSTANCE_NEW_NAME": plan.name,
        }
        return hookenv.around(context.snapshot, "instance-rename", instance, environment)

    def dry_result(self, op: opcodes.InstanceRename, plan: Plan) -> str:
        """Answer the name that it would have."""
        del op
        return plan.name

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceRename, plan: Plan
    ) -> str:
        """Rename its directories, then it, then what its node and its OS know of it."""
        old = plan.instance
        moved = await _move(context, old, plan.name)

        def edit(changed: draft.Draft) -> Instance:
            for disk in moved:
                newest = changed.snapshot.disks[disk.uuid or ""]
                changed.put(msgspec.structs.replace(newest, logical_id=disk.logical_id))
            there = changed.snapshot.instances[old.uuid]
            return changed.put(msgspec.structs.replace(there, name=plan.name))

        instance = await context.change(edit)
        await disks.assemble(context, instance)
        try:
            await _tell(context, old.name, instance, debug=op.debug_level or 0)
        finally:
            await disks.shut_down(context, instance)
        return plan.name

    async def _resolve(
        self, context: contexts.Context, op: opcodes.InstanceRename, name: str
    ) -> str:
        """Return the new name in full, which is locked then."""
        found = await naming.resolve(name)
        if found.name != name:
            context.info(f"Resolved given name '{name}' to '{found.name}'")
            await context.held.exchange(locking.whole(_locks(context.snapshot, op, found.name)))
        if op.ip_check and await naming.is_answering(found.address, services.port("ganeti-noded")):
            raise errors.BadInput(
                f"IP {found.address} of instance {found.name} already in use",
                "resource_not_unique",
            )
        return found.name


def _locks(snapshot: Snapshot, op: opcodes.InstanceRename, name: str) -> levels.Wanted:
    instance = locking.find(snapshot, op)
    return {
        **locking.with_nodes(snapshot, op),
        levels.Level.INSTANCE: levels.exclusive([instance.name, name]),
    }


async def _move(context: contexts.Context, instance: Instance, name: str) -> list[Disk]:
    """Rename the directories that are named for an instance; return its disks as they are then.

    A disk elsewhere, taken as it was, stays where it is. Raises Failure.
    """
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    folders: dict[str, str] = {}
    moved = []
    for disk in snapshot.disks_of(instance):
        if disk.dev_type not in newdisks.FILES:
            continue
        folder, base = posixpath.split(str(disk.logical_id[1]))
        parent, last = posixpath.split(folder)
        if last != instance.name or last == name:
            continue
        folders[folder] = f"{parent}/{name}"
        moved.append(
            msgspec.structs.replace(
                disk, logical_id=(disk.logical_id[0], f"{parent}/{name}/{base}")
            )
        )
    for before, after in folders.items():
        try:
            await context.nodes.call(node, "file_storage_dir_rename", before, after)
        except errors.Failure as error:
            raise errors.Failure(
                f"Could not rename on node {node.name} directory '{before}' to '{after}': {error}"
            ) from error
    return moved


async def _tell(context: contexts.Context, before: str, instance: Instance, *, debug: int) -> None:
    """Tell the node, the disks and the OS the new name; what fails is told."""
    snapshot = context.snapshot
    instance = snapshot.instances[instance.uuid]
    for disk in snapshot.disks_of(instance):
        for node in snapshot.nodes_of(instance):
            told = rpcargs.disk_for_node(snapshot, instance, disk, node)
            try:
                await context.nodes.call(node, "blockdev_setinfo", told, _INFO + instance.name)
            except errors.Failure as error:
                context.warn(
                    f"Error setting info on node {node.name} for disk {disk.iv_name}: {error}"
                )
    node = snapshot.nodes[instance.primary_node]
    described = rpcargs.instance_for_node(snapshot, instance)
    try:
        await context.nodes.call(node, "instance_run_rename", described, before, debug)
    except errors.Failure as error:
        context.warn(
            f"Could not run OS rename script for instance {instance.name} on node {node.name}"
            f" (but the instance has been renamed in Ganeti): {error}"
        )


OPERATION = Rename()
