"""Fields for an instance's disks and network cards: all of a kind in a list, and each by its place.

``disk.sizes`` has a size for every disk, ``disk.size/0`` that of the first. A disk that the
configuration names and does not have makes what depends on it unknown, nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pyganeti.masterd.queries import cells, fields
from pyganeti.masterd.queries.cells import Cell, Kind
from pyganeti.model import disk as disktemplates
from pyganeti.model.config import filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.snapshot import Snapshot

MOST_DISKS: Final = 16
MOST_NICS: Final = 8

_DRBD_METADATA: Final = 128
_WITHOUT_SPACE: Final = frozenset({disktemplates.Template.DISKLESS, disktemplates.Template.BLOCK})
_DISKLESS: Final = "diskless"
_MIXED: Final = "mixed"

Listed = Callable[[Snapshot, Instance], list[Any] | None]


def ordinal(number: int) -> str:
    """Return first, second, … as people write it with a number."""
    teen = 10 < number % 100 < 20  # noqa: PLR2004 - 11th, 12th, 13th
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def disks() -> Iterator[fields.Field[Instance, Any]]:
    """Yield all fields about disks."""
    yield fields.plain(
        "disk.count", "Disks", Kind.NUMBER, "How many disks it has", lambda row: len(row.disks)
    )
    yield _disks("disk_usage", "DiskUsage", Kind.UNIT, "The space its disks take on a node", _usage)
    yield _disks(
        "disk_template",
        "Disk_template",
        Kind.TEXT,
        "What its disks are made of; mixed if not all of the same",
        _template,
    )
    for name, many, title, one, kind, doc in (
        ("size", "sizes", "Disk_sizes", "Disk", Kind.UNIT, "size"),
        ("spindles", "spindles", "Disk_spindles", "DiskSpindles", Kind.NUMBER, "spindles"),
        ("name", "names", "Disk_names", "DiskName", Kind.TEXT, "name"),
        ("uuid", "uuids", "Disk_UUIDs", "DiskUUID", Kind.TEXT, "UUID"),
    ):
        yield _disks(f"disk.{many}", title, Kind.OTHER, f"The {doc} of each disk", _each(name))
        for place in range(MOST_DISKS):
            yield fields.bound(
                f"disk.{name}/{place}",
                f"{one}/{place}",
                kind,
                f"The {doc} of its {ordinal(place + 1)} disk",
                _disk(name, place),
            )


def nics() -> Iterator[fields.Field[Instance, Any]]:
    """Yield all fields about network cards."""
    yield fields.plain(
        "nic.count", "NICs", Kind.NUMBER, "How many network cards it has", lambda row: len(row.nics)
    )
    for name, many, title, one, doc, of in (
        ("mac", "macs", "NIC_MACs", "NicMAC", "MAC address", _own("mac")),
        ("ip", "ips", "NIC_IPs", "NicIP", "IP address", _own("ip")),
        ("name", "names", "NIC_Names", "NicName", "name", _own("name")),
        ("uuid", "uuids", "NIC_UUIDs", "NicUUID", "UUID", _own("uuid")),
        ("mode", "modes", "NIC_modes", "NicMode", "mode", _parameter("mode")),
        ("vlan", "vlans", "NIC_VLANs", "NicVLAN", "VLAN", _parameter("vlan", "openvswitch")),
        ("bridge", "bridges", "NIC_bridges", "NicBridge", "bridge", _parameter("link", "bridged")),
        ("link", "links", "NIC_links", "NicLink", "link", _parameter("link")),
        ("network", "networks", "NIC_networks", "NicNetwork", "network's UUID", _own("network")),
        (
            "network.name",
            "networks.names",
            "NIC_networks_names",
            "NicNetworkName",
            "network",
            _network_name,
        ),
    ):
        yield fields.bound(
            f"nic.{many}", title, Kind.OTHER, f"The {doc} of each network card", _each_nic(of)
        )
        for place in range(MOST_NICS):
            yield fields.bound(
                f"nic.{name}/{place}",
                f"{one}/{place}",
                Kind.TEXT,
                f"The {doc} of its {ordinal(place + 1)} network card",
                _nic(of, place),
            )


# Disks


def _of(all_disks: Mapping[str, Disk], instance: Instance) -> list[Disk] | None:
    """Return an instance's disks, None if one of them is missing."""
    try:
        return [all_disks[uuid] for uuid in instance.disks]
    except KeyError:
        return None


def _disks(
    name: str, title: str, kind: Kind, doc: str, value: Callable[[list[Disk]], Any]
) -> fields.Field[Instance, Any]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        all_disks = snapshot.disks

        def getter(instance: Instance) -> Cell:
            found = _of(all_disks, instance)
            return cells.NO_DATA if found is None else (cells.NORMAL, value(found))

        return getter

    return fields.bound(name, title, kind, doc, bind)


def _each(attribute: str) -> Callable[[list[Disk]], list[Any]]:
    return lambda found: [getattr(disk, attribute) for disk in found]


def _disk(attribute: str, place: int) -> Callable[[Snapshot], fields.Getter[Instance]]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        all_disks = snapshot.disks

        def getter(instance: Instance) -> Cell:
            if place >= len(instance.disks):
                return cells.UNAVAILABLE
            disk = all_disks.get(instance.disks[place])
            if disk is None:
                return cells.NO_DATA
            return cells.value_or(getattr(disk, attribute), cells.UNAVAILABLE)

        return getter

    return bind


def _usage(found: list[Disk]) -> int:
    return sum(
        disk.size + (_DRBD_METADATA if disk.is_mirrored else 0)
        for disk in found
        if disk.dev_type not in _WITHOUT_SPACE
    )


def _template(found: list[Disk]) -> str:
    templates = {disk.dev_type.value for disk in found}
    if not templates:
        return _DISKLESS
    return templates.pop() if len(templates) == 1 else _MIXED


# Network cards: a value of a card, bound to a configuration; None where a card has none.

Of = Callable[[Snapshot], Callable[[Nic], Any]]


def _own(attribute: str) -> Of:
    return lambda _: lambda nic: getattr(nic, attribute)


def _parameter(name: str, mode: str | None = None) -> Of:
    """Return a parameter as it holds; if a mode is given, only of cards in that mode."""

    def bind(snapshot: Snapshot) -> Callable[[Nic], Any]:
        below = filling.nic(snapshot.cluster, {})

        def value(nic: Nic) -> Any:  # noqa: ANN401 - JSON
            own = nic.nicparams
            if mode is not None and own.get("mode", below.get("mode")) != mode:
                return None
            return own.get(name, below.get(name))

        return value

    return bind


def _network_name(snapshot: Snapshot) -> Callable[[Nic], Any]:
    networks = snapshot.networks

    def value(nic: Nic) -> str | None:
        network = networks.get(nic.network or "")
        return None if network is None else network.name

    return value


def _each_nic(of: Of) -> Callable[[Snapshot], fields.Getter[Instance]]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        value = of(snapshot)
        return lambda instance: (cells.NORMAL, [value(nic) for nic in instance.nics])

    return bind


def _nic(of: Of, place: int) -> Callable[[Snapshot], fields.Getter[Instance]]:
    def bind(snapshot: Snapshot) -> fields.Getter[Instance]:
        value = of(snapshot)

        def getter(instance: Instance) -> Cell:
            if place >= len(instance.nics):
                return cells.UNAVAILABLE
            return cells.value_or(value(instance.nics[place]), cells.UNAVAILABLE)

        return getter

    return bind
