"""OP_CLUSTER_DEACTIVATE_MASTER_IP: have the master give the cluster's address back."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.cluster import address
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster


class DeactivateMasterIp(operation.Operation[cluster.ClusterDeactivateMasterIp, None]):
    """Gives the address back."""

    opcode = cluster.ClusterDeactivateMasterIp

    def locks(self, op: cluster.ClusterDeactivateMasterIp, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(
        self, context: contexts.Context, op: cluster.ClusterDeactivateMasterIp
    ) -> None:
        """Need nothing."""

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterDeactivateMasterIp, plan: None
    ) -> None:
        """Give it back; nothing happens if the master does not have it."""
        await address.order(context, "deactivate")


OPERATION = DeactivateMasterIp()
