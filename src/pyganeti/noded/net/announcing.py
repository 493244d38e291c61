"""Asking who has an address, and telling everybody that it is here now.

For IPv4 by ARP on a packet socket: a probe (from 0.0.0.0, as RFC 5227 has it) that a holder
answers, and gratuitous ARP, as request and as reply, since some listen to one only. For IPv6 the
kernel asks by itself before an address is used; here is the unsolicited neighbour advertisement.
Interfaces that do no ARP (the loopback) are asked and told nothing. Blocking, for a bounded time.
"""

import ipaddress
import select
import socket
import struct
import time
from typing import Final, TypeAlias

from pyganeti.noded.net import links

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_ARP: Final = 0x0806
_HEADER: Final = struct.Struct("!6s6sH")
_PACKET: Final = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET: Final = 1
_IPV4: Final = 0x0800
_REQUEST: Final = 1
_REPLY: Final = 2
_EVERYBODY: Final = b"\xff" * 6
_NOBODY: Final = bytes(6)
_UP: Final = 0x1
_QUIET: Final = 0x8 | 0x80  # IFF_LOOPBACK, IFF_NOARP

_ADVERTISEMENT: Final = struct.Struct("!BBHI16sBB6s")
_NEIGHBOUR_ADVERTISEMENT: Final = 136
_OVERRIDE: Final = 0x20000000
_TARGET_LINK_ADDRESS: Final = 2
_ALL_NODES: Final = "ff02::1"

PROBES: Final = 3
PAUSE: Final = 0.2
"""Seconds to wait for an answer to each probe."""


def holder(link: links.Link, address: ipaddress.IPv4Address) -> str | None:
    """Return the MAC address of who answers for an address beyond an interface, None if nobody.

    Raises OSError.
    """
    if not _can_ask(link):
        return None
    ours = _mac(link)
    probe = _frame(_REQUEST, _EVERYBODY, ours, bytes(4), _NOBODY, address.packed)
    with _packet_socket(link) as asking:
        for _ in range(PROBES):
            asking.send(probe)
            until = time.monotonic() + PAUSE
            while (left := until - time.monotonic()) > 0:
                if not select.select([asking], [], [], left)[0]:
                    break
                found = answerer(asking.recv(2048), address, ours)
                if found is not None:
                    return found
    return None


def answerer(frame: bytes, address: ipaddress.IPv4Address, ours: bytes) -> str | None:
    """Return who says in a frame that an address is his, None if it does not say so."""
    if len(frame) < _HEADER.size + _PACKET.size:
        return None
    hardware, protocol, hlen, plen, _, mac, sender, _, _ = _PACKET.unpack_from(frame, _HEADER.size)
    is_arp = (hardware, protocol, hlen, plen) == (_ETHERNET, _IPV4, 6, 4)
    if not is_arp or sender != address.packed or mac == ours:
        return None
    return ":".join(f"{byte:02x}" for byte in mac)


def announce(link: links.Link, address: Address) -> None:
    """Tell everybody on an interface that an address is here; raises OSError."""
    if not _can_ask(link):
        return
    ours = _mac(link)
    if isinstance(address, ipaddress.IPv6Address):
        _advertise(link, address, ours)
        return
    with _packet_socket(link) as telling:
        for kind, target in ((_REQUEST, _NOBODY), (_REPLY, _EVERYBODY)):
            telling.send(_frame(kind, _EVERYBODY, ours, address.packed, target, address.packed))


def _frame(kind: int, to: bytes, mac: bytes, sender: bytes, target: bytes, wanted: bytes) -> bytes:
    packet = _PACKET.pack(_ETHERNET, _IPV4, 6, 4, kind, mac, sender, target, wanted)
    return _HEADER.pack(to, mac, _ARP) + packet


def _advertise(link: links.Link, address: ipaddress.IPv6Address, ours: bytes) -> None:
    message = _ADVERTISEMENT.pack(
        _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE, address.packed, _TARGET_LINK_ADDRESS, 1, ours
    )  # the kernel fills the checksum in
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as telling:
        telling.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        telling.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link.index)
        telling.bind((str(address), 0))
        telling.sendto(message, (_ALL_NODES, 0, 0, link.index))


def _can_ask(link: links.Link) -> bool:
    return bool(link.flags & _UP) and not link.flags & _QUIET and len(_mac(link)) == len(_NOBODY)


def _mac(link: links.Link) -> bytes:
    return bytes.fromhex(link.mac.replace(":", ""))


def _packet_socket(link: links.Link) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
    try:
        made.bind((link.name, _ARP))
    except BaseException:
        made.close()
        raise
    return made
