"""Routed NICs: the host routes the guest's address to its tap, and answers for it on the wire.

As Ganeti's own script does it: a host route to the address, in the table that the NIC's link names
or else the main one; what comes from the guest is looked up in that table; forwarding and proxy ARP
(and NDP) are on for the tap. Routes go with the tap. A rule does not: it would lie in wait for the
next interface of that name. So `forget` is for every end, and for every beginning.

Questions for `netlink.Netlink.ask`; the settings in /proc are files.
"""

import contextlib
import errno
import ipaddress
import socket as sockets
from pathlib import Path
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.net import links, netlink, tables
from pyganeti.noded.net import nic as nics

_SETTINGS: Final = Path("/proc/sys/net")
_LINK_SCOPE: Final = 253  # RT_SCOPE_LINK
_STATIC: Final = 4  # <linux/rtnetlink.h> RTPROT_STATIC
_SWITCHED_ON: Final = {4: ("proxy_arp", "forwarding"), 6: ("proxy_ndp", "forwarding")}
_FAMILIES: Final = (sockets.AF_INET, sockets.AF_INET6)


def check(nic: nics.Nic) -> None:
    """Raise BadInput if a routed NIC could not be attached."""
    if not nic.ip:
        raise errors.BadInput(f"NIC {nic.index} of {nic.instance} is routed but has no IP address")
    try:
        ipaddress.ip_interface(nic.ip)
        if nic.link:
            tables.number(nic.link)
    except (ValueError, errors.BadInput) as error:
        raise errors.BadInput(f"NIC {nic.index} of {nic.instance}: {error}") from error


def attach(socket: netlink.Socket, nic: nics.Nic, tap: str) -> None:
    """Route a NIC's address to its tap."""
    link = links.find(socket, tap)
    if link is None:
        raise errors.BadInput(f"the tap {tap} is gone")
    address = ipaddress.ip_interface(nic.ip)
    family = sockets.AF_INET if address.version == 4 else sockets.AF_INET6  # noqa: PLR2004
    socket.link("set", index=link.index, state="up")
    table = tables.number(nic.link) if nic.link else None
    if table is not None:
        socket.rule("add", iifname=tap, table=table, family=family)
    where = {} if table is None else {"table": table}
    socket.route(
        "replace",
        dst=str(address.network),
        oif=link.index,
        family=family,
        proto=_STATIC,
        scope=sockets.AF_UNSPEC if family == sockets.AF_INET6 else _LINK_SCOPE,
        **where,
    )
    for version, settings in _SWITCHED_ON.items():
        for setting in settings:
            _switch_on(_SETTINGS / f"ipv{version}/conf/{tap}/{setting}")


def forget(socket: netlink.Socket, tap: str) -> None:
    """Remove the rules for interfaces of that name."""
    for family in _FAMILIES:
        for rule in list(socket.get_rules(family=family)):
            if rule.get("iifname") == tap:
                _remove(socket, family, rule)


def _remove(socket: netlink.Socket, family: int, rule: netlink.Socket) -> None:
    with netlink.tolerating(errno.ENOENT):
        socket.rule(
            "del",
            family=family,
            iifname=rule.get("iifname"),
            table=rule.get("table"),
            priority=rule.get("priority"),
        )


def _switch_on(setting: Path) -> None:
    """Set one; a kernel without the protocol has none."""
    with contextlib.suppress(FileNotFoundError):
        setting.write_text("1\n")
