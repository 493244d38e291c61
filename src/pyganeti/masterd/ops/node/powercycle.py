"""OP_NODE_POWERCYCLE: reboot a node the hard way; it takes no locks, for it is the last resort."""

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config import filling
from pyganeti.model.config.node import Node
from pyganeti.model.opcodes import node


class Powercycle(operation.Operation[node.NodePowercycle, Node]):
    """The plan is the node. Answers what the node said of when it will happen."""

    opcode = node.NodePowercycle

    async def prepare(self, context: contexts.Context, op: node.NodePowercycle) -> Node:
        """Find the node; the master only if somebody insists."""
        found = context.snapshot.node(op.node_uuid or op.node_name)
        if found.uuid == context.snapshot.cluster.master_node and not op.force:
            raise errors.BadInput("The node is the master and the force parameter was not set")
        return found

    async def execute(self, context: contexts.Context, op: node.NodePowercycle, plan: Node) -> str:
        """Tell the node."""
        cluster = context.snapshot.cluster
        kind = cluster.enabled_hypervisors[0]
        params = filling.hypervisor_of_os(cluster, kind, "")
        try:
            return str(await context.nodes.call(plan, "node_powercycle", kind, params))
        except errors.Failure as error:
            raise errors.Refused(f"Failed to schedule the reboot: {error}") from error


OPERATION = Powercycle()
