"""OP_GROUP_ASSIGN_NODES: nodes come to another group, with the instances that are on them."""

from dataclasses import dataclass

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import group as opcodes


@dataclass(frozen=True, slots=True)
class Plan:
    """Which nodes come to which group."""

    group: NodeGroup
    nodes: list[Node]


class AssignNodes(operation.Operation[opcodes.GroupAssignNodes, Plan]):
    """Puts nodes into a group. An instance is not split over two, unless that is meant."""

    opcode = opcodes.GroupAssignNodes

    def locks(self, op: opcodes.GroupAssignNodes, snapshot: Snapshot) -> levels.Wanted:
        """Have the nodes alone, their groups, and the one they come to."""
        nodes = _nodes(op, snapshot)
        groups = [snapshot.group(op.group_name).uuid, *(node.group for node in nodes)]
        return {
            levels.Level.NODEGROUP: levels.exclusive(groups),
            levels.Level.NODE: levels.exclusive(node.uuid for node in nodes),
        }

    async def prepare(self, context: contexts.Context, op: opcodes.GroupAssignNodes) -> Plan:
        """Check that no instance has its mirrored disks in two groups then."""
        snapshot = context.snapshot
        plan = Plan(snapshot.group(op.group_name), _nodes(op, snapshot))
        changed = draft.Draft(snapshot, context.services.now())
        _assign(changed, plan)
        was, split = _split(snapshot), _split(changed.snapshot)
        if new := sorted(split - was):
            names = ", ".join(new)
            if not op.force:
                raise errors.BadInput(
                    "The following instances get split by this change and --force was not given:"
                    f" {names}",
                    "wrong_state",
                )
            context.warn(f"This operation will split the following instances: {names}")
        if kept := sorted(split & was):
            context.warn(
                "These already-split instances continue to be split across groups:"
                f" {', '.join(kept)}"
            )
        return plan

    async def execute(
        self, context: contexts.Context, op: opcodes.GroupAssignNodes, plan: Plan
    ) -> None:
        """Record it, all at once."""
        del op
        await context.change(lambda changed: _assign(changed, plan))


def _nodes(op: opcodes.GroupAssignNodes, snapshot: Snapshot) -> list[Node]:
    found = {node.uuid: node for node in map(snapshot.node, op.node_uuids or op.nodes)}
    return list(found.values())


def _assign(changed: draft.Draft, plan: Plan) -> None:
    for node in plan.nodes:
        newest = changed.snapshot.nodes[node.uuid]
        changed.put(msgspec.structs.replace(newest, group=plan.group.uuid))


def _split(snapshot: Snapshot) -> set[str]:
    """Return the names of the instances whose nodes are in several groups."""
    return {
        instance.name
        for instance in snapshot.instances.values()
        if len({node.group for node in snapshot.nodes_of(instance)}) > 1
    }


OPERATION = AssignNodes()
