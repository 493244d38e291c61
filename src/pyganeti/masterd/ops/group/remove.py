"""OP_GROUP_REMOVE: a node group goes that has no nodes."""

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.group import describing
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import group as opcodes


class Remove(operation.Operation[opcodes.GroupRemove, NodeGroup]):
    """Removes a group; the plan is the group."""

    opcode = opcodes.GroupRemove

    def locks(self, op: opcodes.GroupRemove, snapshot: Snapshot) -> levels.Wanted:
        """Have the group alone."""
        uuid = snapshot.group(op.group_name).uuid
        return {levels.Level.NODEGROUP: levels.exclusive([uuid])}

    async def prepare(self, context: contexts.Context, op: opcodes.GroupRemove) -> NodeGroup:
        """Check that it is empty, and not the only one."""
        group = context.snapshot.group(op.group_name)
        _check(context.snapshot, group)
        return group

    def hooks(
        self, context: contexts.Context, op: opcodes.GroupRemove, plan: NodeGroup
    ) -> operation.Hooks:
        """Run on the master."""
        del op
        name = plan.name
        return describing.hooks(context.snapshot, "group-remove", name, {"GROUP_NAME": name})

    async def execute(
        self, context: contexts.Context, op: opcodes.GroupRemove, plan: NodeGroup
    ) -> None:
        """Forget it, unless a node has come to it meanwhile."""
        del op

        def edit(changed: draft.Draft) -> None:
            group = changed.snapshot.group(plan.uuid)
            _check(changed.snapshot, group)
            changed.remove(group)

        await context.change(edit)


def _check(snapshot: Snapshot, group: NodeGroup) -> None:
    if nodes := snapshot.nodes_in(group):
        names = ", ".join(node.name for node in nodes)
        raise errors.BadInput(
            f"Group '{group.name}' not empty, has the following nodes: {names}", "wrong_state"
        )
    if len(snapshot.groups) == 1:
        raise errors.BadInput(
            f"Group '{group.name}' is the only group, cannot be removed", "wrong_state"
        )


OPERATION = Remove()
