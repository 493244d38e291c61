"""OP_GROUP_SET_PARAMS: a node group's allocation policy, parameters and instance policy."""

from dataclasses import dataclass

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.group import describing
from pyganeti.masterd.ops.instance import policy
from pyganeti.model.config import filling
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import group as opcodes


@dataclass(frozen=True, slots=True)
class Plan:
    """The group as it will be, and instances that its policy does not fit any more."""

    group: NodeGroup
    violating: list[str]


class SetParams(operation.Operation[opcodes.GroupSetParams, Plan]):
    """Changes a group; answers which parameters of nodes and disks it has then."""

    opcode = opcodes.GroupSetParams

    def locks(self, op: opcodes.GroupSetParams, snapshot: Snapshot) -> levels.Wanted:
        """Have the group alone."""
        uuid = snapshot.group(op.group_name).uuid
        return {levels.Level.NODEGROUP: levels.exclusive([uuid])}

    async def prepare(self, context: contexts.Context, op: opcodes.GroupSetParams) -> Plan:
        """Check that something changes, and that it can be so."""
        snapshot = context.snapshot
        asked = (
            op.alloc_policy,
            op.ndparams,
            op.diskparams,
            op.hv_state,
            op.disk_state,
            op.ipolicy,
        )
        if all(one is None for one in asked):
            raise errors.BadInput("Please pass at least one modification")
        before = snapshot.group(op.group_name)
        group = describing.changed(before, op)
        after = describing.rehearsed(snapshot, group, context.services.now())
        was = set(_violating(snapshot, before))
        return Plan(group, [name for name in _violating(after, group) if name not in was])

    def hooks(
        self, context: contexts.Context, op: opcodes.GroupSetParams, plan: Plan
    ) -> operation.Hooks:
        """Run on the master."""
        name = plan.group.name
        environment = {"GROUP_NAME": name, "NEW_ALLOC_POLICY": op.alloc_policy}
        return describing.hooks(context.snapshot, "group-modify", name, environment)

    async def execute(
        self, context: contexts.Context, op: opcodes.GroupSetParams, plan: Plan
    ) -> list[tuple[str, str]]:
        """Record it."""
        if plan.violating:
            context.warn(
                "After the ipolicy change the following instances violate them:"
                f" {', '.join(plan.violating)}"
            )

        def edit(changed: draft.Draft) -> NodeGroup:
            newest = changed.snapshot.groups[plan.group.uuid]
            return changed.put(describing.changed(newest, op))

        group = await context.change(edit)
        said = []
        if op.ndparams:
            said.append(("ndparams", str(dict(group.ndparams))))
        if op.diskparams:
            said.append(
                ("diskparams", str({key: dict(own) for key, own in group.diskparams.items()}))
            )
        return said


def _violating(snapshot: Snapshot, group: NodeGroup) -> list[str]:
    """Return the names of the group's instances that are not as its policy has them."""
    rules = filling.policy(snapshot.cluster, group)
    return [
        instance.name
        for node in snapshot.nodes_in(group)
        for instance in snapshot.instances_on(node)
        if policy.violations(rules, policy.of(snapshot, instance))
    ]


OPERATION = SetParams()
