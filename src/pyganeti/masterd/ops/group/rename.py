"""OP_GROUP_RENAME: a node group gets another name."""

import msgspec

from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.group import describing
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import group as opcodes


class Rename(operation.Operation[opcodes.GroupRename, NodeGroup]):
    """Renames a group; answers its new name. The plan is the group as it was."""

    opcode = opcodes.GroupRename

    def locks(self, op: opcodes.GroupRename, snapshot: Snapshot) -> levels.Wanted:
        """Have the group alone."""
        uuid = snapshot.group(op.group_name).uuid
        return {levels.Level.NODEGROUP: levels.exclusive([uuid])}

    async def prepare(self, context: contexts.Context, op: opcodes.GroupRename) -> NodeGroup:
        """Check that nobody has the name."""
        group = context.snapshot.group(op.group_name)
        describing.check_name(context.snapshot, op.new_name)
        return group

    def hooks(
        self, context: contexts.Context, op: opcodes.GroupRename, plan: NodeGroup
    ) -> operation.Hooks:
        """Run on the master and the group's nodes."""
        environment = {"OLD_NAME": plan.name, "NEW_NAME": op.new_name}
        nodes = [node.uuid for node in context.snapshot.nodes_in(plan)]
        return describing.hooks(context.snapshot, "group-rename", plan.name, environment, nodes)

    async def execute(
        self, context: contexts.Context, op: opcodes.GroupRename, plan: NodeGroup
    ) -> str:
        """Record it."""

        def edit(changed: draft.Draft) -> None:
            group = changed.snapshot.groups[plan.uuid]
            changed.put(msgspec.structs.replace(group, name=op.new_name))

        await context.change(edit)
        return op.new_name


OPERATION = Rename()
