"""OP_NODE_QUERY_STORAGE: answer which storage nodes have, a row each."""

from typing import Any, Final

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.node import storing
from pyganeti.model.config import names
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node

_FIELDS: Final = ("allocatable", "free", "name", "node", "size", "type", "used")
_OURS: Final = frozenset({"node", "type"})
"""Fields that nodes are not asked for."""


class QueryStorage(operation.Operation[node.NodeQueryStorage, str]):
    """The plan is the kind of storage."""

    opcode = node.NodeQueryStorage

    def locks(self, op: node.NodeQueryStorage, snapshot: Snapshot) -> levels.Wanted:
        """Share the nodes."""
        if not op.nodes:
            return {levels.Level.NODE: levels.shared(levels.ALL)}
        uuids = [one.uuid for one in storing.wanted(snapshot, op.nodes)]
        return {levels.Level.NODE: levels.shared(uuids)}

    async def prepare(self, context: contexts.Context, op: node.NodeQueryStorage) -> str:
        """Check what is asked for."""
        cluster = context.snapshot.cluster
        storing.check_fields(op.output_fields, _FIELDS)
        if not op.storage_type:
            return storing.default_kind(cluster)
        storing.check_enabled(cluster, op.storage_type)
        return op.storage_type

    async def execute(
        self, context: contexts.Context, op: node.NodeQueryStorage, plan: str
    ) -> list[list[Any]]:
        """Ask the nodes."""
        snapshot = context.snapshot
        asked = ["name", *(one for one in op.output_fields if one not in {*_OURS, "name"})]
        places = {name: place for place, name in enumerate(asked)}
        nodes = sorted(storing.wanted(snapshot, op.nodes), key=names.by_name)
        told = (plan, storing.arguments(snapshot.cluster, plan), op.name, asked)
        answers = await context.nodes.each(nodes, "storage_list", told)
        rows: list[list[Any]] = []
        for one in nodes:
            answer = answers[one.uuid]
            if answer.offline:
                continue
            if answer.failed or not isinstance(answer.payload, list):
                why = answer.error or "its answer makes no sense"
                context.warn(f"Can't get storage data from node {one.name}: {why}")
                continue
            for row in sorted(answer.payload, key=lambda row: names.sort_key(str(row[0]))):
                values = {"node": one.name, "type": plan}
                rows.append(
                    [
                        values[name] if name in values else row[places[name]]
                        for name in op.output_fields
                    ]
                )
        return rows


OPERATION = QueryStorage()
