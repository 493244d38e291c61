"""The locks that opcodes on one instance take.

Where Ganeti has a node's resources to itself while it starts one instance there, we share them: a
node daemon starts many at once, and what the lock would protect, the look at the node's free
memory, is looked at again by the kernel.
"""

from pyganeti.masterd.locks import levels
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import base


def find(snapshot: Snapshot, op: base.OnInstance) -> Instance:
    """Return the instance that an opcode is on; raises BadInput if there is none such."""
    return snapshot.instance(op.instance_uuid or op.instance_name)


def alone(snapshot: Snapshot, op: base.OnInstance) -> levels.Wanted:
    """Lock the instance, and keep its primary node from being changed."""
    instance = find(snapshot, op)
    return {
        levels.Level.INSTANCE: levels.exclusive([instance.name]),
        levels.Level.NODE_RES: levels.shared([instance.primary_node]),
    }


def with_nodes(snapshot: Snapshot, op: base.OnInstance) -> levels.Wanted:
    """Lock the instance, and all of its nodes from being changed."""
    instance = find(snapshot, op)
    nodes = [node.uuid for node in snapshot.nodes_of(instance)]
    return {
        levels.Level.INSTANCE: levels.exclusive([instance.name]),
        levels.Level.NODE: levels.shared(nodes),
        levels.Level.NODE_RES: levels.shared(nodes),
    }
