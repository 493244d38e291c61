"""OP_CLUSTER_DESTROY: see to it that nobody needs the cluster any more.

Its address is given back, and that is all that a job can do: the command that submitted it ends the
daemons and has the last node forget the cluster once the job's result is there. Whoever stops
between the two still has the cluster, and can destroy it again.
"""

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import hooks, operation
from pyganeti.masterd.ops.cluster import address
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster, table


class Destroy(operation.Operation[cluster.ClusterDestroy, None]):
    """Answers with the master's uuid, as Ganeti does."""

    opcode = cluster.ClusterDestroy

    def locks(self, op: cluster.ClusterDestroy, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(self, context: contexts.Context, op: cluster.ClusterDestroy) -> None:
        """Check that the cluster is empty."""
        snapshot = context.snapshot
        others = len(snapshot.nodes) - 1
        if others:
            raise errors.BadInput(f"There are still {others} node(s) in this cluster.")
        if snapshot.instances:
            raise errors.BadInput(
                f"There are still {len(snapshot.instances)} instance(s) in this cluster."
            )

    def hooks(
        self, context: contexts.Context, op: cluster.ClusterDestroy, plan: None
    ) -> operation.Hooks:
        """Run nowhere by themselves: what comes after is run while there is a cluster."""
        return operation.Hooks(
            path="cluster-destroy",
            kind="CLUSTER",
            environment={"OP_TARGET": context.snapshot.cluster.cluster_name},
        )

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterDestroy, plan: None
    ) -> str:
        """Run the hooks, and give the address back."""
        master = context.snapshot.cluster.master_node
        last = operation.Hooks(
            path="cluster-destroy",
            kind="CLUSTER",
            environment={"OP_TARGET": context.snapshot.cluster.cluster_name},
            after=[master],
        )
        await hooks.after(context, table.name_of(op), last, last)
        try:
            await address.order(context, "deactivate")
        except errors.Failure as error:
            context.warn(f"Error disabling the master IP address: {error}")
        return master


OPERATION = Destroy()
