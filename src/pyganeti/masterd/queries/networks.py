"""The resource "network": IP networks, the addresses taken in them, and who is connected."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, Final

from pyganeti.masterd.queries import cells, fields
from pyganeti.masterd.queries.cells import Cell, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config import keys
from pyganeti.model.config.network import Network
from pyganeti.model.config.snapshot import Snapshot

_NONE: Final = "-"
_TAKEN: Final = "1"


class Networks(fields.Static):
    """Answers about networks."""

    name_field = "name"

    def __init__(self) -> None:
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Network]:
        """Return networks; raises BadInput for a name that there is not."""
        if wanted:
            return [snapshot.network(name) for name in wanted if isinstance(name, str)]
        return fields.by_name(snapshot.networks.values())


def occupied(network: Network) -> str:
    """Return a character for each address: X for a taken one, a dot for a free one."""
    ours, others = network.reservations, network.ext_reservations
    if ours is None or others is None:
        return ""
    return "".join("X" if _TAKEN in pair else "." for pair in zip(ours, others, strict=False))


def _kept(network: Network) -> Cell:
    """Return the addresses that the administrator keeps, in words."""
    try:
        first = int(ipaddress.ip_network(network.network, strict=False).network_address)
        kept = [
            str(ipaddress.ip_address(first + place))
            for place, bit in enumerate(network.ext_reservations or "")
            if bit == _TAKEN
        ]
    except ValueError:
        return cells.NO_DATA
    return cells.NORMAL, ", ".join(kept)


def _connections(snapshot: Snapshot, network: Network) -> list[tuple[str, str, str, str]]:
    found = []
    for group in fields.by_name(snapshot.groups.values()):
        params = group.networks.get(network.uuid)
        if params is not None:
            mode, link, vlan = (str(params.get(key, _NONE)) for key in ("mode", "link", "vlan"))
            found.append((group.name, mode, link, vlan))
    return found


def _groups(value: Callable[[list[Any]], Any]) -> Callable[[Snapshot], fields.Getter[Network]]:
    return lambda snapshot: lambda row: (cells.NORMAL, value(_connections(snapshot, row)))


def _instances(value: Callable[[list[str]], Any]) -> Callable[[Snapshot], fields.Getter[Network]]:
    def bind(snapshot: Snapshot) -> fields.Getter[Network]:
        index = snapshot.instances.index(keys.networks)

        def getter(row: Network) -> Cell:
            found = [snapshot.instances[uuid] for uuid in dict.fromkeys(index.get(row.uuid, ()))]
            return cells.NORMAL, value([held.name for held in fields.by_name(found) if held.name])

        return getter

    return bind


_OWN: Final[list[fields.Field[Network, Any]]] = [
    fields.attribute("name", "Network", Kind.TEXT, "The network's name"),
    fields.attribute("network", "Subnet", Kind.TEXT, "Its IPv4 range"),
    fields.attribute(
        "gateway", "Gateway", Kind.OTHER, "Its IPv4 gateway", otherwise=cells.UNAVAILABLE
    ),
    fields.attribute(
        "network6", "IPv6Subnet", Kind.OTHER, "Its IPv6 range", otherwise=cells.UNAVAILABLE
    ),
    fields.attribute(
        "gateway6", "IPv6Gateway", Kind.OTHER, "Its IPv6 gateway", otherwise=cells.UNAVAILABLE
    ),
    fields.attribute(
        "mac_prefix",
        "MacPrefix",
        Kind.OTHER,
        "What MAC addresses in it begin with",
        otherwise=cells.UNAVAILABLE,
    ),
    fields.plain(
        "free_count",
        "FreeCount",
        Kind.NUMBER,
        "How many addresses are free",
        lambda row: occupied(row).count("."),
    ),
    fields.plain(
        "reserved_count",
        "ReservedCount",
        Kind.NUMBER,
        "How many addresses are taken",
        lambda row: occupied(row).count("X"),
    ),
    fields.plain(
        "map", "Map", Kind.TEXT, "An X for each address taken, a dot for each free one", occupied
    ),
    fields.Field(
        "external_reservations",
        "ExternalReservations",
        Kind.TEXT,
        "The addresses that the administrator keeps",
        lambda _: _kept,
    ),
    fields.bound(
        "group_list",
        "GroupList",
        Kind.OTHER,
        "The groups that it is connected to, each with mode, link and VLAN",
        _groups(list),
    ),
    fields.bound(
        "group_cnt", "NodeGroups", Kind.NUMBER, "How many groups it is connected to", _groups(len)
    ),
    fields.bound("inst_list", "InstanceList", Kind.OTHER, "The instances in it", _instances(list)),
    fields.bound(
        "inst_cnt", "Instances", Kind.NUMBER, "How many instances are in it", _instances(len)
    ),
]

FIELDS: Final[dict[str, fields.Field[Network, Any]]] = fields.table(_OWN, fields.common("network"))
