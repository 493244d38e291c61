"""OP_REPAIR_NODE_STORAGE: repair a storage unit, such as a volume group that has lost a disk."""

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.node import storing
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node

_FAULTY = 4


class RepairStorage(operation.Operation[node.RepairNodeStorage, Node]):
    """The plan is the node. What is repaired loses data: other copies have to be whole."""

    opcode = node.RepairNodeStorage

    def locks(self, op: node.RepairNodeStorage, snapshot: Snapshot) -> levels.Wanted:
        """Have the node alone."""
        return {levels.Level.NODE: levels.exclusive({_find(snapshot, op).uuid})}

    async def prepare(self, context: contexts.Context, op: node.RepairNodeStorage) -> Node:
        """Check that such a unit can be repaired, and that nothing is lost by it."""
        if op.storage_type not in storing.REPAIRABLE:
            raise errors.BadInput(f"Storage units of type '{op.storage_type}' can not be repaired")
        snapshot = context.snapshot
        storing.check_enabled(snapshot.cluster, op.storage_type)
        found = _find(snapshot, op)
        for one in (*snapshot.instances_on(found), *snapshot.secondaries_on(found)):
            if not one.disks_active:
                continue
            for other in snapshot.nodes_of(one):
                if other.uuid != found.uuid:
                    await _check_whole(context, op, one, other)
        return found

    async def execute(
        self, context: contexts.Context, op: node.RepairNodeStorage, plan: Node
    ) -> None:
        """Have the node repair it."""
        context.say(f"Repairing storage unit '{op.name}' on {plan.name} ...")
        places = storing.arguments(context.snapshot.cluster, op.storage_type)
        try:
            await context.nodes.call(
                plan, "storage_execute", op.storage_type, places, op.name, storing.REPAIR
            )
        except errors.Failure as error:
            raise errors.Refused(
                f"Failed to repair storage unit '{op.name}' on {plan.name}: {error}"
            ) from error


async def _check_whole(
    context: contexts.Context, op: node.RepairNodeStorage, one: Instance, other: Node
) -> None:
    """Check that an instance's disks are whole on another node."""
    snapshot = context.snapshot
    disks = [rpcargs.disk_for_node(snapshot, one, disk, other) for disk in snapshot.disks_of(one)]
    try:
        said = await context.nodes.call(other, "blockdev_getmirrorstatus", disks)
        is_whole = all(status.get("ldisk_status") != _FAULTY for status in said)
    except (errors.Failure, AttributeError, TypeError) as error:
        text = f"cannot tell whether {one.name} has faulty disks on {other.name}: {error}"
    else:
        if is_whole:
            return
        text = f"Instance '{one.name}' has faulty disks on node '{other.name}'"
    if not op.ignore_consistency:
        raise errors.BadInput(text, "wrong_state")
    context.warn(text)


def _find(snapshot: Snapshot, op: node.RepairNodeStorage) -> Node:
    return snapshot.node(op.node_uuid or op.node_name)


OPERATION = RepairStorage()
