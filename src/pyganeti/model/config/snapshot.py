"""The whole configuration at one moment: immutable, cheap to keep, and easy to ask.

Whoever holds a snapshot may go on reading it while the configuration changes; what did not change
is shared with later ones, indexes included. Names are looked up as people type them: the uuid, the
full name, or as many of its first parts as make it unique (``web1`` for ``web1.example.com``).
"""

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from pyganeti.base import errors
from pyganeti.model.config import keys, names
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.network import Network
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params
from pyganeti.model.config.table import Table

VERSION: Final = 3_000_000
"""The configuration's version: Ganeti 3.0's."""

T = TypeVar("T", Node, NodeGroup, Instance, Network)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration. ``serial_no`` is raised by every change; ``rest`` is what is unknown to us.

    The lookups by name raise BadInput with the code ``unknown_entity``.
    """

    cluster: Cluster
    nodes: Table[Node] = msgspec.field(default_factory=Table)
    groups: Table[NodeGroup] = msgspec.field(default_factory=Table)
    instances: Table[Instance] = msgspec.field(default_factory=Table)
    networks: Table[Network] = msgspec.field(default_factory=Table)
    disks: Table[Disk] = msgspec.field(default_factory=Table)
    filters: Table[FilterRule] = msgspec.field(default_factory=Table)
    version: int = VERSION
    serial_no: int = 1
    ctime: float = 0.0
    mtime: float = 0.0
    rest: Params = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        """Say which it is, not all of it."""
        return f"<Snapshot {self.cluster.cluster_name} {self.serial_no}>"

    def node(self, wanted: str) -> Node:
        """Return the node of a uuid, name or unique beginning of one."""
        return _find("node", self.nodes, wanted)

    def group(self, wanted: str) -> NodeGroup:
        """Return the node group of a uuid or name."""
        return _find("node group", self.groups, wanted, is_shortened=False)

    def instance(self, wanted: str) -> Instance:
        """Return the instance of a uuid, name or unique beginning of one."""
        return _find("instance", self.instances, wanted)

    def network(self, wanted: str) -> Network:
        """Return the network of a uuid or name."""
        return _find("network", self.networks, wanted, is_shortened=False)

    @property
    def master(self) -> Node:
        """The node that is master; raises Damaged if the configuration names none of its own."""
        try:
            return self.nodes[self.cluster.master_node]
        except KeyError as error:
            raise errors.Damaged("the configuration's master is none of its nodes") from error

    def group_of(self, node: Node) -> NodeGroup:
        """Return the group that a node is in; raises Damaged if the configuration has none such."""
        try:
            return self.groups[node.group]
        except KeyError as error:
            raise errors.Damaged(f"the group of node {node.name} does not exist") from error

    def disks_of(self, instance: Instance) -> tuple[Disk, ...]:
        """Return an instance's disks, in their order; raises Damaged if one is missing."""
        try:
            return tuple(self.disks[uuid] for uuid in instance.disks)
        except KeyError as error:
            raise errors.Damaged(
                f"disk {error.args[0]} of instance {instance.name} does not exist"
            ) from error

    def instance_of(self, disk: Disk) -> Instance | None:
        """Return the instance that a disk is attached to, None if it is to none."""
        for uuid in self.instances.index(keys.disks).get(disk.uuid or "", ()):
            return self.instances[uuid]
        return None

    def nodes_of(self, instance: Instance) -> tuple[Node, ...]:
        """Return the nodes that an instance lives on, the primary one first."""
        uuids = dict.fromkeys((instance.primary_node, *self.secondaries_of(instance)))
        return tuple(self.nodes[uuid] for uuid in uuids if uuid in self.nodes)

    def secondaries_of(self, instance: Instance) -> tuple[str, ...]:
        """Return the uuids of the nodes that mirror an instance's disks."""
        found: dict[str, None] = {}
        for uuid in instance.disks:
            if (disk := self.disks.get(uuid)) is not None:
                found.update(dict.fromkeys(keys.mirror_nodes(disk)))
        found.pop(instance.primary_node, None)
        return tuple(sorted(found))

    def instances_on(self, node: Node) -> tuple[Instance, ...]:
        """Return the instances whose primary node it is, by name."""
        return self._by_name(self.instances.index(keys.primary_nodes).get(node.uuid, ()))

    def secondaries_on(self, node: Node) -> tuple[Instance, ...]:
        """Return the instances whose secondary node it is, by name."""
        owners = self.instances.index(keys.disks)
        found: dict[str, None] = {}
        for disk in self.disks.index(keys.mirror_nodes).get(node.uuid, ()):
            for uuid in owners.get(disk, ()):
                if self.instances[uuid].primary_node != node.uuid:
                    found[uuid] = None
        return self._by_name(found)

    def nodes_in(self, group: NodeGroup) -> tuple[Node, ...]:
        """Return a group's nodes, by name."""
        members = self.nodes.index(keys.groups).get(group.uuid, ())
        return tuple(sorted((self.nodes[uuid] for uuid in members), key=names.by_name))

    def candidates(self) -> tuple[Node, ...]:
        """Return the nodes that keep a copy of this, the master among them, by name."""
        found = (
            node
            for node in self.nodes.values()
            if node.master_candidate or node.uuid == self.cluster.master_node
        )
        return tuple(sorted(found, key=names.by_name))

    def _by_name(self, uuids: Iterable[str]) -> tuple[Instance, ...]:
        found = (self.instances[uuid] for uuid in dict.fromkeys(uuids))
        return tuple(sorted(found, key=names.by_name))


def _find(kind: str, table: Table[T], wanted: str, *, is_shortened: bool = True) -> T:
    if (found := table.get(wanted)) is not None:
        return found
    for uuid in table.index(keys.names).get(wanted, ()):
        return table[uuid]
    uuids: tuple[str, ...] = ()
    if is_shortened:
        uuids = tuple(dict.fromkeys(table.index(keys.beginnings).get(wanted.lower(), ())))
    if len(uuids) > 1:
        same = [uuid for uuid in uuids if table[uuid].name.lower() == wanted.lower()]
        uuids = tuple(same) if len(same) == 1 else uuids
    if not uuids:
        raise errors.BadInput(f"{kind.capitalize()} '{wanted}' not known", "unknown_entity")
    if len(uuids) > 1:
        some = ", ".join(sorted(table[uuid].name for uuid in uuids[:4]))
        raise errors.BadInput(
            f"{kind.capitalize()} '{wanted}' may be any of {len(uuids)}: {some}"
            + (" …" if len(uuids) > 4 else ""),  # noqa: PLR2004 - as many as fit into a line
            "unknown_entity",
        )
    return table[uuids[0]]
