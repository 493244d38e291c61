"""A network card of an instance as the node sees it: where it is to be attached, and by what name.

Made from what a master sends (and what a runtime file keeps), checked here once; nobody further in
meets a mode that is none or an interface's name that the kernel would refuse. It lies on disk too,
beside the tap's name, so that whoever cleans up needs nobody to tell him what was there.
"""

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pyganeti.base import errors
from pyganeti.model import instance as instances
from pyganeti.model import network as networks
from pyganeti.noded.net import vlans

_COMMUNICATION: Final = "ganeti:communication:"
_INTERFACE: Final = re.compile(r"[^\s/:%-][^\s/:%]{0,14}")
"""What the kernel allows, but for names that a command would take for an option."""

_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)


Action: TypeAlias = Literal["up", "down"]


class Mode(enum.StrEnum):
    """How a NIC reaches the network."""

    BRIDGED = "bridged"
    ROUTED = "routed"
    OPENVSWITCH = "openvswitch"


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """One NIC of one instance. What is not set is empty.

    ``link`` is a bridge, a switch, or for a routed one a routing table. ``network`` is the part of
    the scripts' environment that says which of the cluster's networks it is in.
    """

    instance: str
    index: int
    mac: str
    mode: Mode
    link: str = ""
    uuid: str = ""
    name: str = ""
    ip: str = ""
    vlan: str = ""
    tags: tuple[str, ...] = ()
    network: dict[str, str] = {}

    @property
    def vlans(self) -> vlans.Vlans | None:
        """The VLANs it hears, None if that is left to the bridge."""
        return vlans.parse(self.vlan)

    @property
    def is_for_communication(self) -> bool:
        """Whether it connects the guest with its host alone."""
        return self.mode is Mode.ROUTED and self.name.startswith(_COMMUNICATION)


class _Parameters(msgspec.Struct):
    mode: Mode
    link: str | None = None
    vlan: str | None = None


class _Wire(msgspec.Struct):
    mac: str
    nicparams: _Parameters
    uuid: str | None = None
    name: str | None = None
    ip: str | None = None
    network: str | None = None
    netinfo: dict[str, Any] | None = None


def is_interface_name(name: str) -> bool:
    """Tell whether an interface, a bridge or a switch may be called so."""
    return _INTERFACE.fullmatch(name) is not None and name not in {".", ".."}


def from_wire(instance: str, tags: Sequence[str], index: int, sent: Mapping[str, Any]) -> Nic:
    """Return a NIC from its dictionary, with filled ``nicparams``; raises BadInput."""
    where = f"NIC {index} of {instance}"
    instances.check_name(instance)
    try:
        wire = msgspec.convert(dict(sent), _Wire)
    except msgspec.ValidationError as error:
        raise errors.BadInput(f"{where}: {error}") from error
    parameters = wire.nicparams
    link = parameters.link or ""
    if _MAC.fullmatch(wire.mac) is None:
        raise errors.BadInput(f"{where}: {wire.mac!r} is not a MAC address")
    if parameters.mode is not Mode.ROUTED and not is_interface_name(link):
        raise errors.BadInput(f"{where}: {link!r} is not the name of a bridge or switch")
    made = Nic(
        instance=instance,
        index=index,
        mac=wire.mac,
        mode=parameters.mode,
        link=link,
        uuid=wire.uuid or "",
        name=wire.name or "",
        ip=wire.ip or "",
        vlan=parameters.vlan or "",
        tags=tuple(tags),
        network=networks.environment(wire.netinfo) if wire.network and wire.netinfo else {},
    )
    if parameters.mode is not Mode.ROUTED:
        try:
            vlans.parse(made.vlan)
        except errors.BadInput as error:
            raise errors.BadInput(f"{where}: {error}") from error
    return made


def environment(nic: Nic, tap: str, action: Action) -> dict[str, str]:
    """Return what the site's scripts are told of a NIC, in Ganeti's words.

    ``ACTION`` came with Ganeti 3.1; scripts that are older do not look at it.
    """
    said = {
        "ACTION": action,
        "INSTANCE": nic.instance,
        "MAC": nic.mac,
        "MODE": nic.mode.value,
        "INTERFACE": tap,
        "INTERFACE_INDEX": str(nic.index),
        "INTERFACE_UUID": nic.uuid,
        "TAGS": " ".join(nic.tags),
        "VLAN": nic.vlan,
    }
    optional = {"IP": nic.ip, "INTERFACE_NAME": nic.name, "LINK": nic.link}
    if nic.mode is Mode.BRIDGED:
        optional["BRIDGE"] = nic.link
    return said | {name: value for name, value in optional.items() if value} | nic.network
