"""The resource "node": what the configuration knows, and what nodes say about themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyganeti.masterd.queries import asking, cells, fields, parameters
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config import keys
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import standings

_LVM_VOLUMES: Final = "lvm-pv"
_OF_STORAGE: Final = frozenset({"dtotal", "dfree", "spfree", "sptotal"})
_OF_HYPERVISOR: Final = frozenset(
    {"mnode", "mfree", "mtotal", "cnodes", "csockets", "cnos", "ctotal"}
)
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


class Storage(msgspec.Struct, frozen=True):
    """What a node says about one place for disks."""

    type: str
    storage_free: float | None = None
    storage_size: float | None = None


class Info(msgspec.Struct, frozen=True, array_like=True):
    """What a node says about itself; of a hypervisor, what it says about the machine."""

    boot: str | None = None
    storage: list[Storage] | None = None
    hypervisors: list[dict[str, Any]] | None = None


_OF_STANDING: Final = frozenset({"epoch", "follows", "store"})
_OF_LEADERSHIP: Final = frozenset({"lease", "leads"})


@dataclass(frozen=True, slots=True)
class Live:
    """What nodes say about themselves, and about whom they follow, by their uuids.

    ``leadership`` is what this daemon knows of who leads; see `cluster.Surroundings`.
    """

    info: Mapping[str, asking.Said[Info]] = field(default_factory=dict)
    standing: Mapping[str, asking.Said[standings.Standing]] = field(default_factory=dict)
    leadership: Mapping[str, Any] = field(default_factory=dict)


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

    async def look(self, snapshot: Snapshot, rows: Sequence[Node], asked: frozenset[str]) -> Live:
        """Ask the nodes about themselves, no more than has to be known.

        A node that has not got one of the places for disks refuses all of it, and is asked again
        without them.
        """
        standing = {}
        if asked & _OF_STANDING:
            standing = await asking.each(
                self._nodes, rows, "master_standing", (), standings.Standing
            )
        info = await self._info(snapshot, rows, asked) if asked & _OF_INFO else {}
        return Live(info, standing, self._leadership() if asked & _OF_LEADERSHIP else {})

    async def _info(
        self, snapshot: Snapshot, rows: Sequence[Node], asked: frozenset[str]
    ) -> Mapping[str, asking.Said[Info]]:
        cluster = snapshot.cluster
        hypervisors: list[object] = []
        if asked & _OF_HYPERVISOR and cluster.enabled_hypervisors:
            first = cluster.enabled_hypervisors[0]
            hypervisors = [[first, dict(cluster.hvparams.get(first, {}))]]

        def arguments(node: Node) -> list[object]:
            units = storage_units(snapshot, node) if asked & _OF_STORAGE else []
            return [units, hypervisors]

        said = await asking.each(self._nodes, rows, "node_info", arguments, Info)
        again = [node for node in rows if said[node.uuid].is_refused]
        if again and asked & _OF_STORAGE:
            said |= await asking.each(self._nodes, again, "node_info", [[], hypervisors], Info)
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
        found[_LVM_VOLUMES, cluster.volume_group_name] = None
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


def _said(
    name: str, title: str, kind: Kind, doc: str, value: Callable[[Info], Any]
) -> fields.Field[Node, Live]:
    def bind(view: fields.View[Live]) -> fields.Getter[Node]:
        said = view.live.info

        def getter(node: Node) -> Cell:
            answer = said.get(node.uuid, asking.Said())
            if answer.what is None:
                return answer.missing
            return cells.value_or(value(answer.what), cells.NO_DATA)

        return getter

    return fields.live(name, title, kind, doc, bind)


def _stands(
    name: str, title: str, kind: Kind, doc: str, value: Callable[[standings.Standing], Any]
) -> fields.Field[Node, Live]:
    def bind(view: fields.View[Live]) -> fields.Getter[Node]:
        said = view.live.standing

        def getter(node: Node) -> Cell:
            answer = said.get(node.uuid, asking.Said())
            if answer.what is None:
                return answer.missing
            return cells.value_or(value(answer.what) or None, cells.NO_DATA)

        return getter

    return fields.live(name, title, kind, doc, bind)


def _told(
    name: str, title: str, doc: str, value: Callable[[str, Mapping[str, Any]], str | None]
) -> fields.Field[Node, Live]:
    def bind(view: fields.View[Live]) -> fields.Getter[Node]:
        told = view.live.leadership
        return lambda node: cells.value_or(value(node.name, told), cells.UNAVAILABLE)

    return fields.live(name, title, Kind.TEXT, doc, bind)


def _lead(name: str, told: Mapping[str, Any]) -> str | None:
    if name == told.get("leader"):
        return str(told["standing"])
    return "standing by" if name in told.get("standbys", ()) else None


def _lease(name: str, told: Mapping[str, Any]) -> str | None:
    if name != told.get("leader") or "lease_left" not in told:
        return None
    return f"{told['lease_left']:.1f}/{told['lease_seconds']}s"


def _store(standing: standings.Standing) -> str | None:
    if standing.prefix is None:
        return None
    return "etcd" if standing.prefix else "files"


def _hypervisor(key: str) -> Callable[[Info], Any]:
    def value(info: Info) -> Any:  # noqa: ANN401 - JSON
        return info.hypervisors[0].get(key) if info.hypervisors else None

    return value


def _storage(attribute: str, *, of_volumes: bool) -> Callable[[Info], Any]:
    def value(info: Info) -> Any:  # noqa: ANN401 - JSON
        for place in info.storage or ():
            if (place.type == _LVM_VOLUMES) is of_volumes:
                amount = getattr(place, attribute)
                return None if amount is None else int(amount)
        return None

    return value


_LIVE: Final[list[fields.Field[Node, Live]]] = [
    _said(
        "bootid",
        "BootID",
        Kind.TEXT,
        "Another one after every boot of the node",
        lambda info: info.boot,
    ),
    _said("cnodes", "CNodes", Kind.NUMBER, "NUMA nodes", _hypervisor("cpu_nodes")),
    _said(
        "cnos", "CNOs", Kind.NUMBER, "Processors that the node itself uses", _hypervisor("cpu_dom0")
    ),
    _said("csockets", "CSockets", Kind.NUMBER, "Processor sockets", _hypervisor("cpu_sockets")),
    _said("ctotal", "CTotal", Kind.NUMBER, "Logical processors", _hypervisor("cpu_total")),
    _said(
        "dfree",
        "DFree",
        Kind.UNIT,
        "Space for further disks",
        _storage("storage_free", of_volumes=False),
    ),
    _said(
        "dtotal",
        "DTotal",
        Kind.UNIT,
        "Space for disks, used and free",
        _storage("storage_size", of_volumes=False),
    ),
    _said(
        "spfree",
        "SpFree",
        Kind.NUMBER,
        "Spindles free, where storage is exclusive",
        _storage("storage_free", of_volumes=True),
    ),
    _said(
        "sptotal",
        "SpTotal",
        Kind.NUMBER,
        "Spindles, used and free, where storage is exclusive",
        _storage("storage_size", of_volumes=True),
    ),
    _said("mfree", "MFree", Kind.UNIT, "Memory for further instances", _hypervisor("memory_free")),
    _said(
        "mnode", "MNode", Kind.UNIT, "Memory that the node itself uses", _hypervisor("memory_dom0")
    ),
    _said("mtotal", "MTotal", Kind.UNIT, "Memory of the machine", _hypervisor("memory_total")),
    _stands(
        "epoch",
        "Epoch",
        Kind.NUMBER,
        "The epoch of the latest master that it knows, and obeys",
        lambda standing: standing.epoch,
    ),
    _stands(
        "follows",
        "Follows",
        Kind.TEXT,
        "The latest master that it knows, and obeys",
        lambda standing: standing.master,
    ),
    _stands(
        "store",
        "Store",
        Kind.TEXT,
        "What the node takes its cluster to be kept in: files or etcd",
        _store,
    ),
    _told("leads", "Leads", "Whether its master daemon leads or stands by", _lead),
    _told("lease", "Lease", "Seconds for which its lease still holds, of how many", _lease),
]

_OF_INFO: Final = frozenset(described.name for described in _LIVE) - _OF_STANDING - _OF_LEADERSHIP


def _all() -> dict[str, fields.Field[Node, Any]]:
    found = fields.table(_CONFIGURED, parameters.of_nodes(), _LIVE, fields.common("node"))
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
