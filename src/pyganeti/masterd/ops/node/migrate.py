"""OP_NODE_MIGRATE: have all instances of a node migrated; answers with the jobs that do."""

from typing import Any

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance, node


class Migrate(operation.Operation[node.NodeMigrate, Node]):
    """Submits a job for each instance; what each does is another opcode's business."""

    opcode = node.NodeMigrate

    def locks(self, op: node.NodeMigrate, snapshot: Snapshot) -> levels.Wanted:
        """Keep the node from being changed."""
        return {levels.Level.NODE: levels.shared([_find(snapshot, op).uuid])}

    async def prepare(self, context: contexts.Context, op: node.NodeMigrate) -> Node:
        """Find the node, and the target if one is named."""
        if op.target_node is not None:
            context.snapshot.node(op.target_node_uuid or op.target_node)
        return _find(context.snapshot, op)

    def hooks(self, context: contexts.Context, op: node.NodeMigrate, plan: Node) -> operation.Hooks:
        """Run on the master alone."""
        master = [context.snapshot.cluster.master_node]
        return operation.Hooks(
            path="node-migrate",
            kind="NODE",
            environment={
                "OP_TARGET": plan.name,
                "NODE_NAME": plan.name,
                "ALLOW_RUNTIME_CHANGES": op.allow_runtime_changes,
            },
            before=master,
            after=master,
        )

    async def execute(
        self, context: contexts.Context, op: node.NodeMigrate, plan: Node
    ) -> dict[str, Any]:
        """Submit the jobs."""
        jobs = [
            [
                instance.InstanceMigrate(
                    instance_name=one.name,
                    mode=op.mode,
                    live=op.live,
                    iallocator=op.iallocator,
                    target_node=op.target_node,
                    allow_runtime_changes=op.allow_runtime_changes,
                    ignore_ipolicy=op.ignore_ipolicy,
                )
            ]
            for one in context.snapshot.instances_on(plan)
        ]
        return {"jobs": await context.submit(jobs)}


def _find(snapshot: Snapshot, op: node.NodeMigrate) -> Node:
    return snapshot.node(op.node_uuid or op.node_name)


OPERATION = Migrate()
