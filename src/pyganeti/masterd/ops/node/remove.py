"""OP_NODE_REMOVE: a node leaves the cluster, its secrets with it.

It leaves in steps that can each be the last before a crash: first it is no candidate any more and
others are in its place, then it forgets the cluster, then the configuration forgets it. The same
command again goes on where the last one stopped. A node that is gone already is only forgotten.
"""

import dataclasses
from dataclasses import dataclass
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import ancillary, hooks, operation
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.node import promoting
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node as opcodes
from pyganeti.model.opcodes import table as opcodetable

_SPREADING: Final = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The node that goes."""

    node: Node


class Remove(operation.Operation[opcodes.NodeRemove, Plan]):
    """Removes a node."""

    opcode = opcodes.NodeRemove

    def locks(self, op: opcodes.NodeRemove, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(self, context: contexts.Context, op: opcodes.NodeRemove) -> Plan:
        """Check that nobody needs the node."""
        snapshot = context.snapshot
        node = snapshot.node(op.node_uuid or op.node_name)
        if node.uuid == snapshot.cluster.master_node:
            raise errors.BadInput("Node is the master node, failover to another node is required")
        here = [*snapshot.instances_on(node), *snapshot.secondaries_on(node)]
        if here:
            raise errors.BadInput(
                f"Instance {here[0].name} is still running on the node, please remove first"
            )
        return Plan(node)

    def hooks(
        self, context: contexts.Context, op: opcodes.NodeRemove, plan: Plan
    ) -> operation.Hooks:
        """Run on all other nodes: a broken one would have to run them itself otherwise."""
        others = [uuid for uuid in context.snapshot.nodes if uuid != plan.node.uuid]
        return operation.Hooks(
            path="node-remove",
            kind="NODE",
            environment={"OP_TARGET": plan.node.name, "NODE_NAME": plan.node.name},
            before=others,
            after=others,
        )

    async def execute(self, context: contexts.Context, op: opcodes.NodeRemove, plan: Plan) -> None:
        """Have it leave, and forget it."""
        node = plan.node
        without = {node.uuid}
        chosen = await promoting.choose(context, without)
        names = await context.change(lambda changed: _demote(changed, node, chosen))
        promoting.tell(context, names, without)
        # It must not get the configuration any more once it has forgotten the cluster.
        for name in await context.config.distributed(timeout=_SPREADING):
            if name != node.name:
                context.warn(f"{name} does not have the changed configuration yet")
        there = dataclasses.replace(self.hooks(context, op, plan), after=[node.uuid])
        await hooks.after(context, opcodetable.name_of(op), there, there)
        cluster = context.snapshot.cluster
        try:
            await context.nodes.call(node, "node_leave_cluster", cluster.modify_ssh_setup)
        except errors.Failure as error:
            context.warn(
                f"Errors encountered on the remote node while leaving the cluster: {error}"
            )
        await context.change(lambda changed: changed.remove(changed.snapshot.nodes[node.uuid]))
        if cluster.modify_etc_hosts:
            master = context.snapshot.master
            await context.nodes.call(master, "etc_hosts_modify", "remove", node.name, None)
            await ancillary.distribute(context, context.snapshot.nodes.values())


def _demote(changed: draft.Draft, node: Node, chosen: dict[str, str]) -> list[str]:
    present = changed.snapshot.nodes[node.uuid]
    changed.put(msgspec.structs.replace(present, master_candidate=False))
    certificates = dict(changed.cluster.candidate_certs)
    certificates.pop(node.uuid, None)
    changed.put(msgspec.structs.replace(changed.cluster, candidate_certs=certificates))
    return promoting.promote(changed, chosen)


OPERATION = Remove()
