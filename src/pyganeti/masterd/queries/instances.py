"""The resource "instance": what the configuration knows, and which instances there are.

What its nodes have to be asked for is in `instancelive`; cards and disks are in `devices`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from pyganeti.masterd.queries import (
    asking,
    cells,
    devices,
    fields,
    instancelive,
    parameters,
    recoveries,
)
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config import filling
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

_ALIASES: Final = {
    "vcpus": "be/vcpus",
    "be/memory": "be/maxmem",
    "sda_size": "disk.size/0",
    "sdb_size": "disk.size/1",
    "ip": "nic.ip/0",
    "mac": "nic.mac/0",
    "bridge": "nic.bridge/0",
    "nic_mode": "nic.mode/0",
    "nic_link": "nic.link/0",
    "nic_network": "nic.network/0",
}


class Instances:
    """Answers about instances."""

    name_field = "name"
    batch: int | None = None

    def __init__(self, nodes: asking.Nodes) -> None:
        self._nodes = nodes
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Instance]:
        """Return instances; raises BadInput for a name that there is not."""
        if wanted:
            return [snapshot.instance(name) for name in wanted if isinstance(name, str)]
        return fields.by_name(snapshot.instances.values())

    async def look(
        self, snapshot: Snapshot, rows: Sequence[Instance], asked: frozenset[str]
    ) -> instancelive.Live:
        """Ask their nodes."""
        return await instancelive.look(self._nodes, snapshot, rows, asked)


def _known(
    name: str, title: str, kind: Kind, doc: str, *, compared: Compared = Compared.AS_IT_IS
) -> fields.Field[Instance, Any]:
    """Return a field that only an instance to come may be without."""

    def getter(instance: Instance) -> Cell:
        value = getattr(instance, name)
        if value == "" and instance.forthcoming:
            return cells.NO_DATA
        return cells.NORMAL, value

    return fields.Field(name, title, kind, doc, lambda _: getter, compared=compared)


def _on_primary(value: Callable[[Snapshot, Node], Cell]) -> Callable[[Snapshot], Any]:
    """Return what binds a field of an instance's primary node; each node is looked at once."""

    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        known = {uuid: value(snapshot, node) for uuid, node in snapshot.nodes.items()}

        def getter(instance: Instance) -> Cell:
            return known.get(instance.primary_node, cells.NO_DATA)

        return getter

    return bind


def _group_cell(attribute: str) -> Callable[[Snapshot, Node], Cell]:
    def value(snapshot: Snapshot, node: Node) -> Cell:
        group = snapshot.groups.get(node.group)
        return cells.NO_DATA if group is None else (cells.NORMAL, getattr(group, attribute))

    return value


def _on_secondaries(value: Callable[[Node, NodeGroup | None], Any]) -> Callable[[Snapshot], Any]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        def getter(instance: Instance) -> Cell:
            if instance.primary_node not in snapshot.nodes:
                return cells.NO_DATA
            found = [
                value(node, snapshot.groups.get(node.group))
                for uuid in snapshot.secondaries_of(instance)
                if (node := snapshot.nodes.get(uuid)) is not None
            ]
            return cells.NORMAL, [held for held in found if held is not None]

        return getter

    return bind


def _filled(fill: Callable[[Snapshot, Instance], Any]) -> Callable[[Snapshot], Any]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        return lambda instance: (cells.NORMAL, fill(snapshot, instance))

    return bind


def _own_hvparams(snapshot: Snapshot, row: Instance) -> dict[str, Any]:
    """Return an instance's hypervisor parameters, but for those that are the cluster's alone."""
    return filling.without_globals(filling.hypervisor_of(snapshot.cluster, row))


_CONFIGURED: Final[list[fields.Field[Instance, Any]]] = [
    _known("name", "Instance", Kind.TEXT, "The instance's name", compared=Compared.AS_HOST),
    _known("admin_state", "InstanceState", Kind.TEXT, "What the instance is wanted to be"),
    _known(
        "admin_state_source",
        "InstanceStateSource",
        Kind.TEXT,
        "Who wanted that last: admin, or user for a shutdown from inside",
    ),
    fields.Field(
        "admin_up",
        "Autostart",
        Kind.BOOL,
        "Whether the instance is wanted to run",
        lambda _: (
            lambda row: (
                cells.NO_DATA
                if row.forthcoming and not row.admin_state
                else (cells.NORMAL, row.admin_state == "up")
            )
        ),
    ),
    fields.attribute(
        "disks_active", "DisksActive", Kind.BOOL, "Whether its disks are meant to be assembled"
    ),
    _known("hypervisor", "Hypervisor", Kind.TEXT, "What it runs under"),
    fields.attribute(
        "network_port",
        "Network_port",
        Kind.OTHER,
        "The port kept for its display, where there is one",
        otherwise=cells.UNAVAILABLE,
    ),
    _known("os", "OS", Kind.TEXT, "The operating system that was installed"),
    fields.bound(
        "pnode",
        "Primary_node",
        Kind.TEXT,
        "The node on which it runs",
        _on_primary(lambda _, node: (cells.NORMAL, node.name)),
        compared=Compared.AS_HOST,
    ),
    fields.bound(
        "pnode.group",
        "PrimaryNodeGroup",
        Kind.TEXT,
        "The group of the node on which it runs",
        _on_primary(_group_cell("name")),
    ),
    fields.bound(
        "pnode.group.uuid",
        "PrimaryNodeGroupUUID",
        Kind.TEXT,
        "The UUID of that group",
        _on_primary(_group_cell("uuid")),
    ),
    fields.bound(
        "snodes",
        "Secondary_Nodes",
        Kind.OTHER,
        "The nodes that mirror its disks, one as a rule",
        _on_secondaries(lambda node, _: node.name),
    ),
    fields.bound(
        "snodes.group",
        "SecondaryNodesGroups",
        Kind.OTHER,
        "The groups of those nodes",
        _on_secondaries(lambda _, group: None if group is None else group.name),
    ),
    fields.bound(
        "snodes.group.uuid",
        "SecondaryNodesGroupsUUID",
        Kind.OTHER,
        "The UUIDs of those groups",
        _on_secondaries(lambda _, group: None if group is None else group.uuid),
    ),
    fields.attribute("forthcoming", "Forthcoming", Kind.BOOL, "Whether it is yet to be created"),
]

_PARAMETERS: Final[list[fields.Field[Instance, Any]]] = [
    fields.bound(
        "hvparams",
        "HypervisorParameters",
        Kind.OTHER,
        "All hypervisor parameters, as they hold",
        _filled(_own_hvparams),
    ),
    fields.bound(
        "beparams",
        "BackendParameters",
        Kind.OTHER,
        "All backend parameters, as they hold",
        _filled(lambda snapshot, row: filling.backend(snapshot.cluster, row.beparams)),
    ),
    fields.bound(
        "osparams",
        "OpSysParameters",
        Kind.OTHER,
        "The operating system's parameters, as they hold",
        _filled(
            lambda snapshot, row: filling.operating_system(snapshot.cluster, row.os, row.osparams)
        ),
    ),
    fields.attribute(
        "custom_hvparams",
        "CustomHypervisorParameters",
        Kind.OTHER,
        "Hypervisor parameters that are the instance's own",
        of="hvparams",
    ),
    fields.attribute(
        "custom_beparams",
        "CustomBackendParameters",
        Kind.OTHER,
        "Backend parameters that are the instance's own",
        of="beparams",
    ),
    fields.attribute(
        "custom_osparams",
        "CustomOpSysParameters",
        Kind.OTHER,
        "The operating system's parameters that are the instance's own",
        of="osparams",
    ),
    fields.plain(
        "custom_nicparams",
        "CustomNicParameters",
        Kind.OTHER,
        "For each network card the parameters that are its own",
        lambda row: [nic.nicparams for nic in row.nics],
    ),
]


def _all() -> dict[str, fields.Field[Instance, Any]]:
    found = fields.table(
        _CONFIGURED,
        _PARAMETERS,
        parameters.backend(),
        parameters.hypervisor(),
        devices.disks(),
        devices.nics(),
        instancelive.FIELDS,
        recoveries.FIELDS,
        fields.common("instance"),
    )
    return found | {alias: found[name].also_as(alias) for alias, name in _ALIASES.items()}


FIELDS: Final = _all()
