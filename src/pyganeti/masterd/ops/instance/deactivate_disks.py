"""OP_INSTANCE_DEACTIVATE_DISKS: have an instance's disks let go, unless it runs on them."""

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, disks, locking
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes

_DOWN = frozenset({"down", "offline"})


class DeactivateDisks(operation.Operation[opcodes.InstanceDeactivateDisks, Instance]):
    """Lets disks go; with ``force`` whatever runs on them."""

    opcode = opcodes.InstanceDeactivateDisks

    def locks(self, op: opcodes.InstanceDeactivateDisks, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, and keep its nodes from being changed."""
        return locking.with_nodes(snapshot, op)

    async def prepare(
        self, context: contexts.Context, op: opcodes.InstanceDeactivateDisks
    ) -> Instance:
        """Check that it neither is to run nor does, unless forced."""
        snapshot = context.snapshot
        instance = locking.find(snapshot, op)
        if op.force:
            return instance
        checks.state(instance, _DOWN)
        node = snapshot.nodes[instance.primary_node]
        if node.offline:
            context.warn("Primary node offline, ignoring check that instance is down")
        elif await checks.running(context, snapshot, instance, node) is not None:
            raise errors.BadInput(
                f"Instance {instance.name} is running, cannot shutdown disks", "wrong_state"
            )
        return instance

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceDeactivateDisks, plan: Instance
    ) -> None:
        """Let them go."""
        if not await disks.shut_down(context, plan):
            raise errors.Failure("Not every disk could be let go")


OPERATION = DeactivateDisks()
