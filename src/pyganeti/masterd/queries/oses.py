"""The resources "os" and "extstorage": what nodes have installed, put together for the cluster.

An operating system is valid if it is on every node that answers, and what may be said of it is what
holds on all of them. Nodes that do not answer spoil nothing: they are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.masterd.queries import asking, fields
from pyganeti.masterd.queries.cells import Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config import names
from pyganeti.model.config.snapshot import Snapshot

Parameter = tuple[str, str]
"""A name, and what it is for."""


class OsSaid(msgspec.Struct, frozen=True, array_like=True):
    """What a node says about one definition of an operating system."""

    name: str
    path: str
    status: bool
    diagnose: str
    variants: list[str]
    parameters: list[Parameter]
    api_versions: list[int]
    trusted: bool = True


class StorageSaid(msgspec.Struct, frozen=True, array_like=True):
    """What a node says about one external storage provider."""

    name: str
    path: str
    status: bool
    diagnose: str
    parameters: list[Parameter]


S = TypeVar("S", OsSaid, StorageSaid)


@dataclass(slots=True)
class Os:
    """An operating system, as it stands in the whole cluster."""

    name: str
    node_status: Mapping[str, list[list[Any]]]
    valid: bool
    hidden: bool
    blacklisted: bool
    variants: list[str] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    api_versions: list[int] = field(default_factory=list)
    trusted: bool = True
    os_hvp: dict[str, Any] = field(default_factory=dict)
    osparams: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provider:
    """An external storage provider, as it stands in the whole cluster."""

    name: str
    node_status: Mapping[str, list[list[Any]]]
    nodegroup_status: Mapping[str, bool]
    parameters: list[Parameter]


class Oses(fields.Static):
    """Answers about operating systems."""

    name_field = "name"

    def __init__(self, nodes: asking.Nodes) -> None:
        self._nodes = nodes
        self.fields = OS_FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Os]:
        """Ask the nodes; names that there are not are no mistake."""
        found = await _diagnosed(self._nodes, snapshot, "os_diagnose", list[OsSaid])
        rows = [_os(snapshot, name, by_node) for name, by_node in found.items()]
        return _in_order(rows, wanted, lambda row: row.name)


class Providers(fields.Static):
    """Answers about external storage providers."""

    name_field = "name"

    def __init__(self, nodes: asking.Nodes) -> None:
        self._nodes = nodes
        self.fields = STORAGE_FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Provider]:
        """Ask the nodes; names that there are not are no mistake."""
        found = await _diagnosed(self._nodes, snapshot, "extstorage_diagnose", list[StorageSaid])
        rows = [_provider(snapshot, name, by_node) for name, by_node in found.items()]
        return _in_order(rows, wanted, lambda row: row.name)


def visible(asked: Sequence[str], wanted: Sequence[str]) -> list[Any] | None:
    """Return the condition of the old question for operating systems.

    What is hidden, blacklisted or invalid is left out, unless that is asked for.
    """
    parts: list[Any] = [
        ["!", ["?", name]] for name in ("hidden", "blacklisted") if name not in asked
    ]
    if "valid" not in asked:
        parts.append(["?", "valid"])
    if wanted:
        parts.append(["|", *(["=", "name", name] for name in wanted)])
    return ["&", *parts] if parts else None


R = TypeVar("R", Os, Provider)


def _in_order(rows: list[R], wanted: Sequence[Value], name: Callable[[R], str]) -> list[R]:
    if not wanted:
        return fields.by_name(rows)
    by_name = {name(row): row for row in rows}
    return [by_name[held] for held in wanted if isinstance(held, str) and held in by_name]


async def _diagnosed(
    nodes: asking.Nodes, snapshot: Snapshot, call: str, shape: type[list[S]]
) -> dict[str, dict[str, list[S]]]:
    """Return by name, for each node that answers, the definitions that it has; the first counts."""
    asked = [node for node in snapshot.nodes.values() if node.vm_capable and not node.offline]
    said = await asking.each(nodes, fields.by_name(asked), call, (), shape)
    answered = {uuid: answer.what for uuid, answer in said.items() if answer.what is not None}
    found: dict[str, dict[str, list[S]]] = {}
    for uuid, definitions in answered.items():
        for definition in definitions:
            by_node = found.setdefault(definition.name, {held: [] for held in answered})
            by_node[uuid].append(definition)
    return found


def _status(by_node: Mapping[str, list[S]]) -> dict[str, list[list[Any]]]:
    return {
        uuid: [list(msgspec.structs.astuple(held))[1:] for held in definitions]
        for uuid, definitions in by_node.items()
    }


def _firsts(by_node: Mapping[str, list[S]]) -> tuple[list[S], bool]:
    """Return the definitions that count, and whether every node has one that is valid."""
    firsts = [definitions[0] for definitions in by_node.values() if definitions]
    valid = len(firsts) == len(by_node) and all(first.status for first in firsts)
    return [first for first in firsts if first.status], valid


V = TypeVar("V")


def _shared(lists: Sequence[Sequence[V]]) -> list[V]:
    """Return what is in all of them, in the order of the first."""
    if not lists:
        return []
    first, *others = lists
    return [held for held in dict.fromkeys(first) if all(held in other for other in others)]


def _os(snapshot: Snapshot, name: str, by_node: Mapping[str, list[OsSaid]]) -> Os:
    cluster = snapshot.cluster
    firsts, valid = _firsts(by_node)
    variants = _shared([held.variants for held in firsts])
    full = [f"{name}+{variant}" for variant in variants]
    return Os(
        name=name,
        node_status=_status(by_node),
        valid=valid,
        hidden=name in cluster.hidden_os,
        blacklisted=name in cluster.blacklisted_os,
        variants=sorted(variants, key=names.sort_key),
        parameters=sorted(
            _shared([held.parameters for held in firsts]), key=lambda held: names.sort_key(held[0])
        ),
        api_versions=sorted(_shared([held.api_versions for held in firsts])),
        trusted=all(held.trusted for held in firsts),
        os_hvp={held: cluster.os_hvp[held] for held in full if held in cluster.os_hvp},
        osparams={held: cluster.osparams[held] for held in full if held in cluster.osparams},
    )


def _provider(snapshot: Snapshot, name: str, by_node: Mapping[str, list[StorageSaid]]) -> Provider:
    firsts, _ = _firsts(by_node)
    by_group = {}
    for group in snapshot.groups.values():
        here = [by_node[node.uuid] for node in snapshot.nodes_in(group) if node.uuid in by_node]
        by_group[group.name] = all(held and held[0].status for held in here)
    return Provider(
        name=name,
        node_status=_status(by_node),
        nodegroup_status=by_group,
        parameters=_shared([held.parameters for held in firsts]),
    )


OS_FIELDS: Final[dict[str, fields.Field[Os, Any]]] = fields.table(
    [
        fields.attribute("name", "Name", Kind.TEXT, "The operating system's name"),
        fields.attribute("valid", "Valid", Kind.BOOL, "Whether every node has it, and it is right"),
        fields.attribute("hidden", "Hidden", Kind.BOOL, "Whether lists leave it out"),
        fields.attribute(
            "blacklisted", "Blacklisted", Kind.BOOL, "Whether it may not be installed any more"
        ),
        fields.attribute("variants", "Variants", Kind.OTHER, "The variants that all nodes have"),
        fields.attribute(
            "api_versions",
            "ApiVersions",
            Kind.OTHER,
            "The versions of the interface to its scripts",
        ),
        fields.attribute(
            "parameters", "Parameters", Kind.OTHER, "The parameters that it takes on all nodes"
        ),
        fields.attribute(
            "node_status", "NodeStatus", Kind.OTHER, "What each node has, and what is wrong with it"
        ),
        fields.attribute(
            "os_hvp", "OsHypervisorParams", Kind.OTHER, "Hypervisor parameters for its variants"
        ),
        fields.attribute("osparams", "OsParameters", Kind.OTHER, "Parameters for its variants"),
        fields.attribute("trusted", "Trusted", Kind.BOOL, "Whether its scripts are trusted"),
    ]
)

STORAGE_FIELDS: Final[dict[str, fields.Field[Provider, Any]]] = fields.table(
    [
        fields.attribute("name", "Name", Kind.TEXT, "The provider's name"),
        fields.attribute(
            "node_status", "NodeStatus", Kind.OTHER, "What each node has, and what is wrong with it"
        ),
        fields.attribute(
            "nodegroup_status",
            "NodegroupStatus",
            Kind.OTHER,
            "For each node group, whether all its nodes have it",
        ),
        fields.attribute("parameters", "Parameters", Kind.OTHER, "The parameters that it takes"),
    ]
)
