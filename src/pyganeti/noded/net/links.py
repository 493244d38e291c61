"""What the kernel says about an interface. Questions for `netlink.Netlink.ask`."""

import errno
from dataclasses import dataclass
from typing import Final

from pyganeti.noded.net import netlink

LONGEST: Final = 15
"""Bytes that an interface's name may have."""


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. ``kind`` is empty for hardware; ``master`` and ``parent`` are 0 for none."""

    index: int
    name: str
    kind: str = ""
    mac: str = ""
    mtu: int = 0
    flags: int = 0
    master: int = 0
    parent: int = 0
    filters_vlans: bool = False
    vlan: int = 0


def find(socket: netlink.Socket, name: str) -> Link | None:
    """Return the interface of that name, None if there is none."""
    if not name or len(name.encode()) > LONGEST or "\0" in name:
        return None
    with netlink.tolerating(errno.ENODEV, errno.EINVAL):
        for said in socket.link("get", ifname=name):
            return _link(said)
    return None


def ports(socket: netlink.Socket, bridge: int) -> list[Link]:
    """Return what is attached to a bridge, by the bridge's index."""
    return [link for link in every(socket) if link.master == bridge]


def every(socket: netlink.Socket) -> list[Link]:
    """Return all interfaces."""
    return [_link(said) for said in socket.get_links()]


def set_up(socket: netlink.Socket, name: str) -> None:
    """Have an interface take part; nothing happens if it is gone."""
    link = find(socket, name)
    if link is not None:
        socket.link("set", index=link.index, state="up")


def _link(said: netlink.Socket) -> Link:
    info = said.get("linkinfo")
    kind = (info.get("kind") if info else None) or ""
    data = info.get("data") if info else None
    return Link(
        index=said["index"],
        name=said.get("ifname") or "",
        kind=kind,
        mac=said.get("address") or "",
        mtu=said.get("mtu") or 0,
        flags=said["flags"],
        master=said.get("master") or 0,
        parent=said.get("link") or 0,
        filters_vlans=bool(data and kind == "bridge" and data.get("br_vlan_filtering")),
        vlan=(data.get("vlan_id") or 0) if data and kind == "vlan" else 0,
    )
