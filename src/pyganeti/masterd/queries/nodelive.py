"""What nodes say about themselves and about whom they follow, and the fields that show it.

A node that says nothing has no data in its cells. Who leads is no node's word: this daemon knows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyganeti.masterd.queries import asking, cells, fields
from pyganeti.masterd.queries.cells import Cell, Kind
from pyganeti.model.config.node import Node
from pyganeti.wire import standings

LVM_VOLUMES: Final = "lvm-pv"

OF_STORAGE: Final = frozenset({"dtotal", "dfree", "spfree", "sptotal"})
OF_HYPERVISOR: Final = frozenset(
    {"mnode", "mfree", "mtotal", "cnodes", "csockets", "cnos", "ctotal"}
)
OF_STANDING: Final = frozenset({"epoch", "follows", "store"})
OF_LEADERSHIP: Final = frozenset({"lease", "leads"})
"""Which fields need what."""


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


@dataclass(frozen=True, slots=True)
class Live:
    """What nodes say about themselves, and about whom they follow, by their uuids.

    ``leadership`` is what this daemon knows of who leads; see `cluster.Surroundings`.
    """

    info: Mapping[str, asking.Said[Info]] = field(default_factory=dict)
    standing: Mapping[str, asking.Said[standings.Standing]] = field(default_factory=dict)
    leadership: Mapping[str, Any] = field(default_factory=dict)


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
            if (place.type == LVM_VOLUMES) is of_volumes:
                amount = getattr(place, attribute)
                return None if amount is None else int(amount)
        return None

    return value


FIELDS: Final[list[fields.Field[Node, Live]]] = [
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

OF_INFO: Final = frozenset(described.name for described in FIELDS) - OF_STANDING - OF_LEADERSHIP
