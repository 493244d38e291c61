"""The IPv4 addresses of a network: which are taken, one bit each."""

import ipaddress
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.model.config.network import Network

_TAKEN: Final = "1"
_FREE: Final = "0"


def is_taken(network: Network, address: str) -> bool:
    """Return whether an address is an instance's or kept; False for one that is not in it."""
    place = _place(network, address)
    return place is not None and any(
        bits is not None and bits[place] == _TAKEN
        for bits in (network.reservations, network.ext_reservations)
    )


def holds(network: Network, address: str) -> bool:
    """Return whether an address, free or not, is one of the network's."""
    try:
        return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(network.network)
    except ValueError:
        return False


def reserve(network: Network, address: str) -> Network:
    """Return the network with an address taken; an address that is not in it changes nothing.

    Raises BadInput if it is taken already.
    """
    if is_taken(network, address):
        raise errors.BadInput(
            f"{address} of network {network.name} is in use", code="resource_not_unique"
        )
    return _with(network, address, _TAKEN)


def release(network: Network, address: str) -> Network:
    """Return the network with an address free for others; what is kept stays kept."""
    return _with(network, address, _FREE)


def free(network: Network) -> str:
    """Return the lowest free address; raises Exhausted if there is none."""
    for place, bits in enumerate(
        zip(network.reservations or "", network.ext_reservations or "", strict=True)
    ):
        if _TAKEN not in bits:
            return str(ipaddress.IPv4Network(network.network)[place])
    raise errors.Exhausted(f"no address of network {network.name} is free")


def _with(network: Network, address: str, bit: str) -> Network:
    place = _place(network, address)
    bits = network.reservations
    if place is None or bits is None:
        return network
    return msgspec.structs.replace(network, reservations=bits[:place] + bit + bits[place + 1 :])


def _place(network: Network, address: str) -> int | None:
    """Return where an address's bit is, None if it has none here."""
    if network.reservations is None:
        return None
    try:
        within = ipaddress.IPv4Network(network.network)
        wanted = ipaddress.IPv4Address(address)
    except ValueError:
        return None
    place = int(wanted) - int(within.network_address)
    return place if 0 <= place < len(network.reservations) else None
