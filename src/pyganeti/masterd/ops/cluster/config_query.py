"""OP_CLUSTER_CONFIG_QUERY: answer fields of the resource "cluster", one value each."""

from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.opcodes import cluster

_CLUSTER: Final = "cluster"
_UNKNOWN: Final = "unknown"
_NORMAL: Final = 0


class ConfigQuery(operation.Operation[cluster.ClusterConfigQuery, None]):
    """Answers values."""

    opcode = cluster.ClusterConfigQuery

    async def prepare(self, context: contexts.Context, op: cluster.ClusterConfigQuery) -> None:
        """Check that there are such fields."""
        told = context.services.engine.query_fields(_CLUSTER, op.output_fields)
        unknown = [field["name"] for field in told["fields"] if field["kind"] == _UNKNOWN]
        if unknown:
            raise errors.BadInput(f"Unknown output fields selected: {', '.join(unknown)}")

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterConfigQuery, plan: None
    ) -> list[Any]:
        """Return the values, None for one that there is not."""
        answer = await context.services.engine.query(_CLUSTER, op.output_fields)
        [row] = answer["data"]
        return [value if status == _NORMAL else None for status, value in row]


OPERATION = ConfigQuery()
