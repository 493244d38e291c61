"""OP_GROUP_ADD: a new node group, without nodes."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.group import describing
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import group as opcodes


class Add(operation.Operation[opcodes.GroupAdd, NodeGroup]):
    """Adds a group; the plan is the group."""

    opcode = opcodes.GroupAdd

    def locks(self, op: opcodes.GroupAdd, snapshot: Snapshot) -> levels.Wanted:
        """Lock nothing: nobody knows it, and two of one name are no configuration."""
        del op, snapshot
        return {}

    async def prepare(self, context: contexts.Context, op: opcodes.GroupAdd) -> NodeGroup:
        """Check the name and the parameters."""
        snapshot = context.snapshot
        describing.check_name(snapshot, op.group_name)
        new = NodeGroup(name=op.group_name, uuid=context.services.new_uuid())
        group = describing.changed(new, op)
        describing.rehearsed(snapshot, group, context.services.now())
        return group

    def hooks(
        self, context: contexts.Context, op: opcodes.GroupAdd, plan: NodeGroup
    ) -> operation.Hooks:
        """Run on the master."""
        del plan
        name = op.group_name
        return describing.hooks(context.snapshot, "group-add", name, {"GROUP_NAME": name})

    async def execute(
        self, context: contexts.Context, op: opcodes.GroupAdd, plan: NodeGroup
    ) -> None:
        """Record it."""
        del op
        await context.change(lambda changed: changed.put(plan))


OPERATION = Add()
