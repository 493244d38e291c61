"""OP_CLUSTER_ACTIVATE_MASTER_IP: have the master take the cluster's address."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.cluster import address
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster


class ActivateMasterIp(operation.Operation[cluster.ClusterActivateMasterIp, None]):
    """Takes the address."""

    opcode = cluster.ClusterActivateMasterIp

    def locks(self, op: cluster.ClusterActivateMasterIp, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(self, context: contexts.Context, op: cluster.ClusterActivateMasterIp) -> None:
        """Need nothing."""

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterActivateMasterIp, plan: None
    ) -> None:
        """Take it; nothing happens if the master has it."""
        await address.order(context, "activate")


OPERATION = ActivateMasterIp()
