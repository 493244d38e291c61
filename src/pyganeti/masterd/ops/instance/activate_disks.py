"""OP_INSTANCE_ACTIVATE_DISKS: have an instance's disks ready on its node, without starting it."""

from typing import Any

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, disks, locking, making, marking
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes


class ActivateDisks(operation.Operation[opcodes.InstanceActivateDisks, Instance]):
    """Makes disks ready; those that are stay so."""

    opcode = opcodes.InstanceActivateDisks

    def locks(self, op: opcodes.InstanceActivateDisks, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, and keep its nodes from being changed."""
        return locking.with_nodes(snapshot, op)

    async def prepare(
        self, context: contexts.Context, op: opcodes.InstanceActivateDisks
    ) -> Instance:
        """Check the instance's node."""
        instance = locking.find(context.snapshot, op)
        checks.online(context.snapshot.nodes[instance.primary_node])
        return instance

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceActivateDisks, plan: Instance
    ) -> list[list[Any]]:
        """Make them ready; answer with the node, the disk's name and its device, for each."""
        found = await disks.assemble(context, plan, ignore_size=op.ignore_size)
        snapshot = context.snapshot
        if op.wait_for_sync:
            try:
                await making.check(context, plan, snapshot.disks_of(plan))
            except errors.Failure:
                await marking.disks(context, plan.uuid, active=False)
                raise
        node = snapshot.nodes[plan.primary_node].name
        return [[node, one.disk.iv_name, one.path] for one in found]


OPERATION = ActivateDisks()
