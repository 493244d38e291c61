"""OP_CLUSTER_QUERY: answer what the cluster is."""

from typing import Any

from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.opcodes import cluster


class Query(operation.Operation[cluster.ClusterQuery, None]):
    """Answers as QueryClusterInfo does."""

    opcode = cluster.ClusterQuery

    async def prepare(self, context: contexts.Context, op: cluster.ClusterQuery) -> None:
        """Need nothing."""

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterQuery, plan: None
    ) -> dict[str, Any]:
        """Return all there is to say."""
        return context.services.engine.cluster_info()


OPERATION = Query()
