"""OP_INSTANCE_REMOVE: an instance goes, with all that it has.

First its guest, then its disks, last of all its place in the configuration: whatever is cut short
can be done again.
"""

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import hookenv, locking, making, starting
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes


class Remove(operation.Operation[opcodes.InstanceRemove, Instance]):
    """Removes an instance, its disks included."""

    opcode = opcodes.InstanceRemove

    def locks(self, op: opcodes.InstanceRemove, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, and its nodes kept as they are."""
        return locking.with_nodes(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceRemove) -> Instance:
        """Find the instance."""
        return locking.find(context.snapshot, op)

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceRemove, plan: Instance
    ) -> operation.Hooks:
        """Run on the master, and afterwards on its nodes too."""
        snapshot = context.snapshot
        environment = {**hookenv.of(snapshot, plan), "SHUTDOWN_TIMEOUT": op.shutdown_timeout}
        master = snapshot.cluster.master_node
        nodes = [node.uuid for node in snapshot.nodes_of(plan)]
        return operation.Hooks(
            path="instance-remove",
            kind="INSTANCE",
            environment=environment,
            before=[master],
            after=[*nodes, master],
        )

    def hooks_after(
        self, context: contexts.Context, op: opcodes.InstanceRemove, plan: Instance
    ) -> operation.Hooks | None:
        """Tell of it as it was: it is no more."""
        del context, op, plan
        return None

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceRemove, plan: Instance
    ) -> None:
        """Shut it down, remove its disks, and forget it."""
        snapshot = context.snapshot
        node = snapshot.nodes[plan.primary_node]
        if not plan.forthcoming:
            told = rpcargs.instance_for_node(snapshot, plan)
            try:
                await context.nodes.call(
                    node,
                    "instance_shutdown",
                    told,
                    op.shutdown_timeout,
                    context.run.reason,
                    timeout=op.shutdown_timeout + starting.GRACE,
                )
            except errors.Failure as error:
                if not op.ignore_failures:
                    raise errors.Failure(
                        f"Could not shutdown instance {plan.name} on node {node.name}: {error}"
                        " (--ignore-failures removes it all the same)"
                    ) from error
                context.warn(f"can't shutdown instance: {error}")
            disks = snapshot.disks_of(plan)
            if not await making.remove(context, plan, disks):
                if not op.ignore_failures:
                    raise errors.Failure(
                        "Can't remove instance's disks (--ignore-failures forgets them)"
                    )
                context.warn("can't remove instance's disks")
        await context.change(
            lambda changed: changed.remove_instance(changed.snapshot.instances[plan.uuid])
        )


OPERATION = Remove()
