"""OP_NODE_MODIFY_STORAGE: change a storage unit, such as whether a physical volume is used."""

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.node import storing
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node


class ModifyStorage(operation.Operation[node.NodeModifyStorage, Node]):
    """The plan is the node."""

    opcode = node.NodeModifyStorage

    def locks(self, op: node.NodeModifyStorage, snapshot: Snapshot) -> levels.Wanted:
        """Have the node alone."""
        return {levels.Level.NODE: levels.exclusive({_find(snapshot, op).uuid})}

    async def prepare(self, context: contexts.Context, op: node.NodeModifyStorage) -> Node:
        """Check that such a unit can be changed so."""
        modifiable = storing.MODIFIABLE.get(op.storage_type)
        if modifiable is None:
            raise errors.BadInput(f"Storage units of type '{op.storage_type}' can not be modified")
        if wrong := sorted(op.changes.keys() - modifiable):
            raise errors.BadInput(
                "The following fields can not be modified for storage units of type"
                f" '{op.storage_type}': {', '.join(wrong)}"
            )
        storing.check_enabled(context.snapshot.cluster, op.storage_type)
        return _find(context.snapshot, op)

    async def execute(
        self, context: contexts.Context, op: node.NodeModifyStorage, plan: Node
    ) -> None:
        """Have the node change it."""
        places = storing.arguments(context.snapshot.cluster, op.storage_type)
        try:
            await context.nodes.call(
                plan, "storage_modify", op.storage_type, places, op.name, op.changes
            )
        except errors.Failure as error:
            raise errors.Refused(
                f"Failed to modify storage unit '{op.name}' on {plan.name}: {error}"
            ) from error


def _find(snapshot: Snapshot, op: node.NodeModifyStorage) -> Node:
    return snapshot.node(op.node_uuid or op.node_name)


OPERATION = ModifyStorage()
