"""The resource "group": node groups."""

from collections.abc import Sequence
from typing import Any, Final

from pyganeti.masterd.queries import cells, fields, parameters
from pyganeti.masterd.queries.cells import Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config import filling, keys
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.snapshot import Snapshot


class Groups(fields.Static):
    """Answers about node groups."""

    name_field = "name"

    def __init__(self) -> None:
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[NodeGroup]:
        """Return groups; raises BadInput for a name that there is not."""
        if wanted:
            return [snapshot.group(name) for name in wanted if isinstance(name, str)]
        return fields.by_name(snapshot.groups.values())


def _disks(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
    return lambda group: (cells.NORMAL, filling.disk(snapshot.cluster, group))


def _policy(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
    return lambda group: (cells.NORMAL, filling.policy(snapshot.cluster, group))


def _node_parameters(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
    return lambda group: (cells.NORMAL, filling.node(snapshot.cluster, group))


def _node_count(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
    index = snapshot.nodes.index(keys.groups)
    return lambda group: (cells.NORMAL, len(index.get(group.uuid, ())))


def _node_list(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
    return lambda group: (cells.NORMAL, [node.name for node in snapshot.nodes_in(group)])


def _instance_count(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
    nodes = snapshot.nodes.index(keys.groups)
    instances = snapshot.instances.index(keys.primary_nodes)
    return lambda group: (
        cells.NORMAL,
        sum(len(instances.get(node, ())) for node in nodes.get(group.uuid, ())),
    )


def _instance_list(snapshot: Snapshot) -> fields.Getter[NodeGroup]:
    def getter(group: NodeGroup) -> cells.Cell:
        found = [
            instance
            for node in snapshot.nodes_in(group)
            for instance in snapshot.instances_on(node)
            if instance.name
        ]
        return cells.NORMAL, [instance.name for instance in fields.by_name(found)]

    return getter


_OWN: Final[list[fields.Field[NodeGroup, Any]]] = [
    fields.attribute(
        "alloc_policy",
        "AllocPolicy",
        Kind.TEXT,
        "Whether new instances go there: preferred, last_resort or unallocable",
    ),
    fields.attribute(
        "custom_diskparams",
        "CustomDiskParameters",
        Kind.OTHER,
        "Disk parameters that are the group's own",
        of="diskparams",
    ),
    fields.attribute(
        "custom_ipolicy",
        "CustomInstancePolicy",
        Kind.OTHER,
        "What the group says itself about what instances may be like",
        of="ipolicy",
    ),
    fields.attribute(
        "custom_ndparams",
        "CustomNDParams",
        Kind.OTHER,
        "Node parameters that are the group's own",
        of="ndparams",
    ),
    fields.bound(
        "diskparams", "DiskParameters", Kind.OTHER, "All disk parameters, as they hold", _disks
    ),
    fields.bound(
        "ipolicy", "InstancePolicy", Kind.OTHER, "What instances in it may be like", _policy
    ),
    fields.attribute("name", "Group", Kind.TEXT, "The group's name"),
    fields.bound(
        "ndparams", "NDParams", Kind.OTHER, "All node parameters, as they hold", _node_parameters
    ),
    fields.bound("node_cnt", "Nodes", Kind.NUMBER, "How many nodes are in it", _node_count),
    fields.bound("node_list", "NodeList", Kind.OTHER, "The nodes in it", _node_list),
    fields.bound(
        "pinst_cnt", "Instances", Kind.NUMBER, "How many instances its nodes run", _instance_count
    ),
    fields.bound(
        "pinst_list", "InstanceList", Kind.OTHER, "The instances that its nodes run", _instance_list
    ),
]

FIELDS: Final[dict[str, fields.Field[NodeGroup, Any]]] = fields.table(
    _OWN, parameters.of_groups(), fields.common("group")
)
