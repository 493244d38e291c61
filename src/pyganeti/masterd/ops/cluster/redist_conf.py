"""OP_CLUSTER_REDIST_CONF: send every node again what it should have.

The configuration and the simple settings, whatever the nodes have of them, and the files that all
have alike.
"""

from typing import Final

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import ancillary, operation
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster

_PATIENCE: Final = 60.0


class RedistConf(operation.Operation[cluster.ClusterRedistConf, None]):
    """Sends everything again."""

    opcode = cluster.ClusterRedistConf

    def locks(self, op: cluster.ClusterRedistConf, snapshot: Snapshot) -> levels.Wanted:
        """Let no node come or go meanwhile."""
        return {levels.Level.NODE: levels.shared(levels.ALL)}

    async def prepare(self, context: contexts.Context, op: cluster.ClusterRedistConf) -> None:
        """Need nothing."""

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterRedistConf, plan: None
    ) -> None:
        """Send it, and say who has not taken it."""
        for node in await context.config.redistributed(timeout=_PATIENCE):
            context.warn(f"{node} has not taken the configuration; it is tried again")
        await ancillary.distribute(context, context.snapshot.nodes.values())


OPERATION = RedistConf()
