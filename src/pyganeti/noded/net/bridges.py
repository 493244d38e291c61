"""Bridged NICs: the tap becomes a port of a Linux bridge, in the VLANs that the NIC names.

As Ganeti's own script does it: the tap gets a MAC address that begins with ``fe``, so that the
bridge never takes it for its own, and the bridge's MTU. A NIC that names VLANs wants a bridge that
filters them; it hears these and no other (Ganeti's leaves it in the bridge's default VLAN, too),
and they are let through on the bridge's uplinks, which are its ports that are no taps.

Nothing is to be undone: a port goes with its tap, VLANs on uplinks may be others' as well.
Questions for `netlink.Netlink.ask`.
"""

from collections.abc import Iterable
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.net import links, netlink, taps, vlans
from pyganeti.noded.net import nic as nics

_PVID: Final = 2  # <linux/if_bridge.h> BRIDGE_VLAN_INFO_PVID
_UNTAGGED: Final = 4  # BRIDGE_VLAN_INFO_UNTAGGED


def missing(socket: netlink.Socket, names: Iterable[str]) -> list[str]:
    """Return which of these bridges there are not."""
    return [name for name in dict.fromkeys(names) if not _is_bridge(links.find(socket, name))]


def check(socket: netlink.Socket, nic: nics.Nic) -> None:
    """Raise BadInput if a bridged NIC could not be attached."""
    bridge = links.find(socket, nic.link)
    if bridge is None or not _is_bridge(bridge):
        what = "is no bridge" if bridge else "does not exist"
        raise errors.BadInput(
            f"Missing bridges {nic.link}: it {what} on this node (NIC {nic.index} of"
            f" {nic.instance})"
        )
    if nic.vlans is not None and not bridge.filters_vlans:
        raise errors.BadInput(
            f"NIC {nic.index} of {nic.instance} is to be in VLAN {nic.vlan}, but the bridge"
            f" {nic.link} has no VLAN filtering (ip link set {nic.link} type bridge"
            " vlan_filtering 1)"
        )
    if nic.vlans is not None:
        _check_uplinks(socket, bridge, nic.vlans)


def attach(socket: netlink.Socket, nic: nics.Nic, tap: str) -> None:
    """Make a tap a port of its NIC's bridge."""
    bridge, port = links.find(socket, nic.link), links.find(socket, tap)
    if bridge is None or port is None:
        raise errors.BadInput(f"the {'tap ' + tap if bridge else 'bridge ' + nic.link} is gone")
    socket.link("set", index=port.index, address="fe" + port.mac[2:], mtu=bridge.mtu)
    socket.link("set", index=port.index, master=bridge.index)
    if nic.vlans is not None:
        _confine(socket, bridge, port, nic.vlans)
    socket.link("set", index=port.index, state="up")


def _is_bridge(link: links.Link | None) -> bool:
    return link is not None and link.kind == "bridge"


def _confine(
    socket: netlink.Socket, bridge: links.Link, port: links.Link, wanted: vlans.Vlans
) -> None:
    """Have a port hear the wanted VLANs alone, and the uplinks carry them."""
    known = _vlans(socket)
    for vlan in wanted.all:
        flags = _PVID | _UNTAGGED if vlan == wanted.untagged else 0
        _add(socket, port.index, vlan, flags)
    for vlan in known.get(port.index, set()) - set(wanted.all):
        socket.vlan_filter("del", index=port.index, vlan_info={"vid": vlan})
    for uplink in _uplinks(socket, bridge):
        for vlan in wanted.all:
            if vlan not in known.get(uplink.index, set()):
                _add(socket, uplink.index, vlan, 0)


def _add(socket: netlink.Socket, index: int, vlan: int, flags: int) -> None:
    info = {"vid": vlan, "flags": flags}
    socket.vlan_filter("add", index=index, af_spec={"attrs": [["IFLA_BRIDGE_VLAN_INFO", info]]})


def _vlans(socket: netlink.Socket) -> dict[int, set[int]]:
    """Return each bridge port's VLANs, by the port's index."""
    found: dict[int, set[int]] = {}
    for said in socket.get_vlans():
        spec = said.get("af_spec")
        infos = spec.get_attrs("IFLA_BRIDGE_VLAN_INFO") if spec else ()
        of_port = found.setdefault(said["index"], set())
        of_port.update(info["vid"] for info in infos)
    return found


def _uplinks(socket: netlink.Socket, bridge: links.Link) -> list[links.Link]:
    return [port for port in links.ports(socket, bridge.index) if not taps.is_name(port.name)]


def _check_uplinks(socket: netlink.Socket, bridge: links.Link, wanted: vlans.Vlans) -> None:
    """Raise BadInput if an uplink has an interface of its own for a VLAN, which takes its frames.

    A veth is left out: its other end is another host, a container say, and bridges may be stacked.
    """
    uplinks = {link.index: link for link in _uplinks(socket, bridge) if link.kind != "veth"}
    for link in links.every(socket):
        if link.kind == "vlan" and link.parent in uplinks and link.vlan in wanted.all:
            raise errors.BadInput(
                f"VLAN {link.vlan} of {uplinks[link.parent].name} goes to the interface"
                f" {link.name}, not to the bridge {bridge.name}"
            )
