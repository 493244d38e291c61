"""The resource "node": what the configuration knows; `nodelive` has what nodes say themselves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pyganeti.masterd.queries import asking, cells, fields, nodelive, parameters
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config import keys
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import standings

_STORAGE_TYPES: Final = {
    "drbd": "lvm-vg",
    "plain": "lvm-vg",
    "file": "file",
    "sharedfile": "sharedfile",
    "gluster": "gluster",
    "rbd": "rados",
    "ext": "ext",
    "blockdev": "blockdev",
    "diskless": "diskless",
}
"""What each disk template lies on."""


class Nodes:
    """Answers about nodes."""

    name_field = "name"
    batch: int | None = None

    def __init__(
        self, nodes: asking.Nodes, leadership: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        self._nodes = nodes
        self._leadership = leadership
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Node]:
        """Return nodes; raises BadInput for a name that there is not."""
        if wanted:
            return [snapshot.node(name) for name in wanted if isinstance(name, str)]
        return fields.by_name(snapshot.nodes.values())

    async def look(
        self, snapshot: Snapshot, rows: Sequence[Node], asked: frozenset[str]
    ) -> nodelive.Live:
        """Ask the nodes about themselves, no more than has to be known.

        A node that has not got one of the places for disks refuses all of it, and is asked again
        without them.
        """
        standing = {}
        if asked & nodelive.OF_STANDING:
            standing = await asking.each(
                self._nodes, rows, "master_standing", (), standings.Standing
            )
        info = await self._info(snapshot, rows, asked) if asked & nodelive.OF_INFO else {}
        return nodelive.Live(
            info, standing, self._leadership() if asked & nodelive.OF_LEADERSHIP else {}
        )

    async def _info(
        self, snapshot: Snapshot, rows: Sequence[Node], asked: frozenset[str]
    ) -> Mapping[str, asking.Said[nodelive.Info]]:
        cluster = snapshot.cluster
        hypervisors: list[object] = []
        if asked & nodelive.OF_HYPERVISOR and cluster.enabled_hypervisors:
            first = cluster.enabled_hypervisors[0]
            hypervisors = [[first, dict(cluster.hvparams.get(first, {}))]]

        def arguments(node: Node) -> list[object]:
            units = storage_units(snapshot, node) if asked & nodelive.OF_STORAGE else []
            return [units, hypervisors]

        said = await asking.each(self._nodes, rows, "node_info", arguments, nodelive.Info)
        again = [node for node in rows if said[node.uuid].is_refused]
        if again and asked & nodelive.OF_STORAGE:
            said |= await asking.each(
                self._nodes, again, "node_info", [[], hypervisors], nodelive.Info
            )
        return said


def storage_units(snapshot: Snapshot, node: Node) -> list[list[Any]]:
    """Return the cluster's places for disks, as a node is asked about them.

    The first is where disks go when nobody says otherwise.
    """
    cluster = snapshot.cluster
    keys = {
        "drbd": cluster.volume_group_name,
        "plain": cluster.volume_group_name,
        "file": cluster.file_storage_dir,
    }
    filled = parameters.node_filled(snapshot, node) or {}
    exclusive = bool(filled.get("exclusive_storage"))
    found: dict[tuple[str, str], None] = {}
    for template in cluster.enabled_disk_templates:
        if key := keys.get(template):
            found[_STORAGE_TYPES[template], key] = None
    if cluster.volume_group_name:
        found[nodelive.LVM_VOLUMES, cluster.volume_group_name] = None
    return [[kind, key, [exclusive] if kind.startswith("lvm-") else []] for kind, key in found]


# What the configuration knows


def _is_master(snapshot: Snapshot) -> fields.Getter[Node]:
    return lambda node: (cells.NORMAL, node.uuid == snapshot.cluster.master_node)


def _group(snapshot: Snapshot) -> fields.Getter[Node]:
    def getter(node: Node) -> Cell:
        group = snapshot.groups.get(node.group)
        return cells.NO_DATA if group is None else (cells.NORMAL, group.name)

    return getter


def _parameters(snapshot: Snapshot) -> fields.Getter[Node]:
    return lambda node: cells.value_or(parameters.node_filled(snapshot, node), cells.NO_DATA)


def _role(snapshot: Snapshot) -> fields.Getter[Node]:
    return lambda node: (cells.NORMAL, role(snapshot, node))


def role(snapshot: Snapshot, node: Node) -> str:
    """Return a node's role in a letter: M(aster), C(andidate), D(rained), O(ffline), R(egular)."""
    if node.uuid == snapshot.cluster.master_node:
        return "M"
    if node.master_candidate:
        return "C"
    if node.drained:
        return "D"
    return "O" if node.offline else "R"


def _powered(snapshot: Snapshot) -> fields.Getter[Node]:
    def getter(node: Node) -> Cell:
        filled = parameters.node_filled(snapshot, node)
        if filled is None:
            return cells.NO_DATA
        return (cells.NORMAL, node.powered) if filled.get("oob_program") else cells.UNAVAILABLE

    return getter


def _primary_count(snapshot: Snapshot) -> fields.Getter[Node]:
    index = snapshot.instances.index(keys.primary_nodes)
    return lambda node: (cells.NORMAL, len(index.get(node.uuid, ())))


def _instances(
    of: Callable[[Snapshot, Node], Sequence[Instance]], value: Callable[[Sequence[Instance]], Any]
) -> Callable[[Snapshot], fields.Getter[Node]]:
    return lambda snapshot: lambda node: (cells.NORMAL, value(of(snapshot, node)))


def _names(found: Sequence[Instance]) -> list[str]:
    return [instance.name for instance in found if instance.name]


_CONFIGURED: Final[list[fields.Field[Node, Any]]] = [
    fields.attribute("name", "Node", Kind.TEXT, "The node's name"),
    fields.attribute("drained", "Drained", Kind.BOOL, "Whether it gets no new instances"),
    fields.attribute(
        "master_candidate", "MasterC", Kind.BOOL, "Whether it keeps a copy of all that masters need"
    ),
    fields.attribute(
        "master_capable", "MasterCapable", Kind.BOOL, "Whether it may become a master candidate"
    ),
    fields.attribute("offline", "Offline", Kind.BOOL, "Whether nobody talks to it"),
    fields.attribute("vm_capable", "VMCapable", Kind.BOOL, "Whether it may have instances"),
    fields.attribute("pip", "PrimaryIP", Kind.TEXT, "Its address", of="primary_ip"),
    fields.attribute(
        "sip",
        "SecondaryIP",
        Kind.TEXT,
        "Its address for what nodes send each other of disks and memory",
        of="secondary_ip",
    ),
    fields.bound("master", "IsMaster", Kind.BOOL, "Whether it is the master", _is_master),
    fields.bound("group", "Group", Kind.TEXT, "The group that it is in", _group),
    fields.attribute("group.uuid", "GroupUUID", Kind.TEXT, "That group's UUID", of="group"),
    fields.bound(
        "ndparams", "NodeParameters", Kind.OTHER, "All node parameters, as they hold", _parameters
    ),
    fields.attribute(
        "custom_ndparams",
        "CustomNodeParameters",
        Kind.OTHER,
        "Node parameters that are its own",
        of="ndparams",
    ),
    fields.bound(
        "pinst_cnt", "Pinst", Kind.NUMBER, "How many instances it is to run", _primary_count
    ),
    fields.bound(
        "sinst_cnt",
        "Sinst",
        Kind.NUMBER,
        "How many instances' disks it mirrors",
        _instances(Snapshot.secondaries_on, len),
    ),
    fields.bound(
        "pinst_list",
        "PriInstances",
        Kind.OTHER,
        "The instances that it is to run",
        _instances(Snapshot.instances_on, _names),
    ),
    fields.bound(
        "sinst_list",
        "SecInstances",
        Kind.OTHER,
        "The instances whose disks it mirrors",
        _instances(Snapshot.secondaries_on, _names),
    ),
    fields.bound(
        "role",
        "Role",
        Kind.TEXT,
        "Its role: M for the master, C for a candidate, R for a regular one, D for drained, O for"
        " offline",
        _role,
    ),
    fields.bound(
        "powered",
        "Powered",
        Kind.BOOL,
        "Whether it is switched on, for all we know; of nodes that can be switched from here",
        _powered,
    ),
    # Ganeti declares these two and never has a value for them.
    fields.Field(
        "hv_state",
        "HypervisorState",
        Kind.OTHER,
        "The hypervisor's state; never available",
        lambda _: lambda _: cells.UNAVAILABLE,
    ),
    fields.Field(
        "disk_state",
        "DiskState",
        Kind.OTHER,
        "The disks' state; never available",
        lambda _: lambda _: cells.UNAVAILABLE,
    ),
]


# What the nodes say


def _all() -> dict[str, fields.Field[Node, Any]]:
    found = fields.table(_CONFIGURED, parameters.of_nodes(), nodelive.FIELDS, fields.common("node"))
    name = found["name"]
    found["name"] = fields.plain(
        name.name,
        name.title,
        name.kind,
        name.doc,
        lambda node: node.name,
        compared=Compared.AS_HOST,
    )
    return found


FIELDS: Final = _all()
