"""An instance as a master describes it to a node: name, parameters filled in, NICs and disks.

What a newer master adds is passed over, so that it can speak to this node; what is missing or of
the wrong type is refused before anything is done. An instance's name becomes file names, a tap's
environment and a qemu's name: `Instance` cannot be made with one that is no plain host name.
"""

import re
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")
_UUID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_MOST_VCPUS: Final = 4096


def check_name(name: str) -> None:
    """Raise BadInput unless the name can be an instance's."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise errors.BadInput(f"{name[:300]!r} is not the name of an instance")


class BeParams(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance may use. Memory in MiB."""

    maxmem: int = 128
    minmem: int = 128
    vcpus: int = 1
    spindle_use: int = 1
    auto_balance: bool = True
    always_failover: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.minmem <= self.maxmem and 0 < self.vcpus <= _MOST_VCPUS):
            raise errors.BadInput(
                "backend parameters: there must be memory, minmem <= maxmem, and vcpus"
            )


class Nic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network card. ``nicparams`` are filled: mode, link, vlan."""

    mac: str
    uuid: str
    ip: str | None = None
    name: str | None = None
    network: str | None = None
    netinfo: dict[str, Any] | None = None
    nicparams: dict[str, str | None] = {}
    hvinfo: dict[str, str | int] = {}
    """Where qemu has it: driver, id, bus, address. Only in runtime files."""

    def __post_init__(self) -> None:
        if not _MAC.fullmatch(self.mac) or not _UUID.fullmatch(self.uuid):
            raise errors.BadInput(f"NIC {self.uuid[:64]!r} has no right uuid or address")

    @property
    def mode(self) -> str:
        """How it is connected: bridged, routed or openvswitch."""
        return self.nicparams.get("mode") or ""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One virtual machine, as it is to be.

    ``disks_info`` are the disks' own descriptions, for the storage to understand, in order.
    """

    name: str
    uuid: str
    hypervisor: str = "kvm"
    hvparams: hypervisors.HvParams = hypervisors.HvParams()
    beparams: BeParams = BeParams()
    nics: tuple[Nic, ...] = ()
    disks_info: tuple[dict[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    network_port: int | None = None
    primary_node: str = ""
    os: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _UUID.fullmatch(self.uuid):
            raise errors.BadInput(f"{self.uuid[:64]!r} is not an instance's uuid")
