"""The addresses of a network that an administrator keeps from instances; pure.

``ext_reservations`` has a bit for each: the network's own address, that to everybody, the
gateway's, and whatever else is somebody's.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft, invariants
from pyganeti.masterd.ops import operation
from pyganeti.model import network as networks
from pyganeti.model.config import addresses, codec
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.network import Network
from pyganeti.model.config.record import Record
from pyganeti.model.config.snapshot import Snapshot

_LARGEST: Final = 16
_SMALLEST: Final = 30
"""Lengths of prefixes that a network with addresses to give may have."""

_MAC_PREFIX: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){2}")
_KEPT: Final = "1"
_FREE: Final = "0"


def begun(network: Network) -> Network:
    """Return a new network with its first, last and gateway's addresses kept; raises BadInput."""
    try:
        own = ipaddress.IPv4Network(network.network)
    except ValueError as error:
        raise errors.BadInput(
            f"{network.network!r} is no IPv4 network such as 192.0.2.0/24: {error}"
        ) from error
    if not _LARGEST <= own.prefixlen <= _SMALLEST:
        raise errors.BadInput(
            f"a network is at most a /{_LARGEST} and at least a /{_SMALLEST}, not {own}"
        )
    made = msgspec.structs.replace(
        network,
        network=str(own),
        reservations=_FREE * own.num_addresses,
        ext_reservations=_KEPT + _FREE * (own.num_addresses - 2) + _KEPT,
    )
    return keep(made, network.gateway) if network.gateway else made


def keep(network: Network, address: str) -> Network:
    """Return a network with an address kept from instances; raises BadInput if it cannot be."""
    bits, place = _place(network, address)
    if addresses.is_taken(network, address):
        raise errors.BadInput(f"Cannot reserve IP address '{address}': it is in use already")
    return _with(network, bits, place, _KEPT)


def give(network: Network, address: str) -> Network:
    """Return a network with an address for instances again; raises BadInput if it was not kept."""
    bits, place = _place(network, address)
    if bits[place] == _FREE:
        raise errors.BadInput(f"Cannot release IP address '{address}': it was not reserved")
    return _with(network, bits, place, _FREE)


def kept(network: Network) -> list[str]:
    """Return the addresses that are kept from instances."""
    own = ipaddress.IPv4Network(network.network)
    return [
        str(own[place]) for place, bit in enumerate(network.ext_reservations or "") if bit == _KEPT
    ]


def mac_prefix(said: str) -> str:
    """Return the three first parts of MAC addresses; raises BadInput if they are none."""
    if not _MAC_PREFIX.fullmatch(said.lower()):
        raise errors.BadInput(f"Invalid MAC address prefix {said!r}: aa:00:01 would be one")
    return said.lower()


def check_version6(network: Network) -> None:
    """Raise BadInput unless a network's IPv6 range and gateway are such."""
    try:
        own = ipaddress.IPv6Network(network.network6) if network.network6 else None
        gateway = ipaddress.IPv6Address(network.gateway6) if network.gateway6 else None
    except ValueError as error:
        raise errors.BadInput(f"this is no IPv6 network or gateway: {error}") from error
    if gateway is not None and (own is None or gateway not in own):
        raise errors.BadInput(f"the gateway {gateway} is not in the IPv6 network")


def owned(snapshot: Snapshot) -> dict[str, str]:
    """Return the addresses of the cluster and its nodes, and whose each is."""
    found = {
        address: f"node '{node.name}'"
        for node in snapshot.nodes.values()
        for address in (node.primary_ip, node.secondary_ip)
    }
    return {**found, snapshot.cluster.master_ip: "the cluster"}


def rehearse(snapshot: Snapshot, record: Record, now: float) -> None:
    """Raise BadInput if the configuration would break its rules with an object in it."""
    changed = draft.Draft(snapshot, now)
    changed.put(record)
    invariants.check(snapshot, changed.snapshot, changed.touched)


def hooks(
    snapshot: Snapshot,
    path: str,
    network: Network,
    environment: Mapping[str, object] | None = None,
    groups: Iterable[NodeGroup] | None = None,
) -> operation.Hooks:
    """Return hooks that tell of a network, on the master or on the nodes of groups."""
    if groups is None:
        nodes = [snapshot.cluster.master_node]
    else:
        nodes = [node.uuid for group in groups for node in snapshot.nodes_in(group)]
    about = networks.environment(codec.to_wire(network)) if environment is None else environment
    return operation.Hooks(
        path=path,
        kind="NETWORK",
        environment={"OP_TARGET": network.name, **about},
        before=nodes,
        after=nodes,
    )


def _place(network: Network, address: str) -> tuple[str, int]:
    bits = network.ext_reservations
    if bits is None or not addresses.holds(network, address):
        raise errors.BadInput(f"{address!r} is no address of network {network.network}")
    own = ipaddress.IPv4Network(network.network)
    return bits, int(ipaddress.IPv4Address(address)) - int(own.network_address)


def _with(network: Network, bits: str, place: int, bit: str) -> Network:
    return msgspec.structs.replace(network, ext_reservations=bits[:place] + bit + bits[place + 1 :])
