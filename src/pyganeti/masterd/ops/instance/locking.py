"""The locks that opcodes on one instance take.

Where Ganeti has a node's resources to itself while it starts one instance there, we share them: a
node daemon starts many at once, and what the lock would protect, the look at the node's free
memory, is looked at again by the kernel.
"""

from collections.abc import Iterable

from pyganeti.masterd.locks import levels
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
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


def to_create(snapshot: Snapshot, names: Iterable[str], node: Node | None) -> levels.Wanted:
    """Lock names of instances to be, and keep the node that they are for from being changed.

    Without a node, all are kept, and placing is had alone: who places next has to see what was
    placed before. That is the exclusive lock on all node groups, which nothing else needs.
    """
    wanted = {levels.Level.INSTANCE: levels.exclusive(names)}
    if node is None:
        return wanted | {
            levels.Level.NODEGROUP: levels.exclusive(levels.ALL),
            levels.Level.NODE: levels.shared(levels.ALL),
            levels.Level.NODE_RES: levels.shared(levels.ALL),
        }
    return wanted | {
        levels.Level.NODEGROUP: levels.shared([snapshot.group_of(node).uuid]),
        levels.Level.NODE: levels.shared([node.uuid]),
        levels.Level.NODE_RES: levels.shared([node.uuid]),
    }


def created(instance: Instance) -> levels.Wanted:
    """Keep what `to_create` locks only as far as an instance needs it that is recorded."""
    return whole(
        {
            levels.Level.INSTANCE: levels.exclusive([instance.name]),
            levels.Level.NODE_RES: levels.shared([instance.primary_node]),
        }
    )


def whole(wanted: levels.Wanted) -> levels.Wanted:
    """Return locks with the cluster's own, which every opcode shares, among them."""
    return {levels.Level.CLUSTER: levels.shared({levels.BIG}), **wanted}
