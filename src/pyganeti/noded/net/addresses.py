"""The node's own addresses: whether one is here, and on which interface. Questions for netlink."""

import errno
import ipaddress
import socket as sockets
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyganeti.noded.net import netlink

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOCAL: Final = 2  # <linux/rtnetlink.h> RTN_LOCAL
_UNREACHABLE: Final = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
_TENTATIVE: Final = 0x40
_DUPLICATE: Final = 0x08
_LONGEST_LABEL: Final = 15


@dataclass(frozen=True, slots=True)
class Assigned:
    """An address of an interface. IPv6: whether the kernel still asks around, or found another."""

    index: int
    prefix: int
    is_tentative: bool
    is_duplicate: bool


def is_here(socket: netlink.Socket, address: Address) -> bool:
    """Tell whether what is sent to an address stays on this node, as for all of 127.0.0.0/8."""
    routes: list[netlink.Socket] = []
    with netlink.tolerating(*_UNREACHABLE):
        routes = socket.route("get", dst=str(address), family=_family(address))
    return any(route["type"] == _LOCAL for route in routes)


def assigned(socket: netlink.Socket, address: Address) -> list[Assigned]:
    """Return where an address is assigned, with what prefix."""
    found = []
    for said in socket.get_addr(family=_family(address)):
        text = said.get("local") or said.get("address")
        if text and ipaddress.ip_address(text) == address:
            flags = said.get("flags") or said["flags"]
            found.append(
                Assigned(
                    said["index"],
                    said["prefixlen"],
                    bool(flags & _TENTATIVE),
                    bool(flags & _DUPLICATE),
                )
            )
    return found


def add(socket: netlink.Socket, index: int, interface: str, address: Address, prefix: int) -> None:
    """Assign an address to an interface, labelled as Ganeti does (``eth0:0``) where that fits."""
    label = f"{interface}:0"
    labelled = address.version == 4 and len(label) <= _LONGEST_LABEL  # noqa: PLR2004 - IPv4
    socket.addr(
        "add",
        index=index,
        address=str(address),
        prefixlen=prefix,
        family=_family(address),
        **({"label": label} if labelled else {}),
    )


def remove(socket: netlink.Socket, index: int, address: Address, prefix: int) -> None:
    """Take an address from an interface; nothing happens if it is not there."""
    with netlink.tolerating(errno.EADDRNOTAVAIL, errno.ENODEV):
        socket.addr(
            "del", index=index, address=str(address), prefixlen=prefix, family=_family(address)
        )


def _family(address: Address) -> int:
    return sockets.AF_INET if address.version == 4 else sockets.AF_INET6  # noqa: PLR2004 - IPv4
