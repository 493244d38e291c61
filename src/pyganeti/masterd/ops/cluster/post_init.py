"""OP_CLUSTER_POST_INIT: have the hooks of a cluster run that was just made."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster


class PostInit(operation.Operation[cluster.ClusterPostInit, None]):
    """Does nothing but have its hooks run."""

    opcode = cluster.ClusterPostInit

    def locks(self, op: cluster.ClusterPostInit, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(self, context: contexts.Context, op: cluster.ClusterPostInit) -> None:
        """Need nothing."""

    def hooks(
        self, context: contexts.Context, op: cluster.ClusterPostInit, plan: None
    ) -> operation.Hooks:
        """Run on the master, afterwards."""
        snapshot = context.snapshot
        return operation.Hooks(
            path="cluster-init",
            kind="CLUSTER",
            environment={"OP_TARGET": snapshot.cluster.cluster_name},
            after=[snapshot.cluster.master_node],
        )

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterPostInit, plan: None
    ) -> bool:
        """Answer that it is done."""
        return True


OPERATION = PostInit()
