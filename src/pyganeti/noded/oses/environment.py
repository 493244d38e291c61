"""What an OS definition's scripts are told: the OS and its parameters, the instance, its parts.

In Ganeti's words, to the letter: definitions that people have written for it must find what they
look for, down to ``True`` and ``None``, which is how Python prints what a configuration holds.
Decides only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import siteprograms
from pyganeti.model import instance as instances
from pyganeti.model import network as networks
from pyganeti.noded.oses import definition as definitions

_ON_DEVICES: Final = frozenset({"plain", "drbd", "blockdev", "rbd", "ext"})
_IN_FILES: Final = frozenset({"file", "sharedfile", "gluster"})


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A NIC, as far as scripts are told of it."""

    mac: str
    nicparams: dict[str, Any]
    uuid: str | None = None
    name: str | None = None
    ip: str | None = None
    netinfo: dict[str, Any] | None = None


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as the master sends it, as far as scripts are told of it."""

    name: str
    os: str
    uuid: str | None = None
    ctime: float | None = None
    mtime: float | None = None
    primary_node: str | None = None
    secondary_nodes: list[str] = []
    hypervisor: str = "kvm"
    osparams: dict[str, Any] = {}
    osparams_private: dict[str, Any] = {}
    hvparams: dict[str, Any] = {}
    beparams: dict[str, Any] = {}
    nics: list[Nic] = []
    disks_info: list[dict[str, Any]] = []

    def __post_init__(self) -> None:
        instances.check_name(self.name)


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that is ready to be written to: by a path of this node, or by a URI.

    Scripts are told the ``format`` of its content where it is not raw: Ganeti knows no other.
    """

    template: str
    size: int
    mode: str
    uuid: str | None = None
    name: str | None = None
    driver: str = ""
    path: str | None = None
    uri: str | None = None
    format: str = "raw"


def of_os(
    definition: definitions.Definition,
    name: str,
    parameters: Mapping[str, Any],
    *,
    debug: int = 0,
) -> dict[str, str]:
    """Return what every script is told; ``name`` is the OS's with its variant."""
    variant = ""
    if definition.version >= definitions.WITH_VARIANTS and definition.variants:
        variant = definitions.split(name)[1] or definition.variants[0]
    said = {
        "OS_API_VERSION": str(definition.version),
        "OS_NAME": definition.name,
        "OS_VARIANT": variant,
        "DEBUG_LEVEL": str(int(debug)),
        "PATH": siteprograms.PATH,
    }
    for key, value in parameters.items():
        said[f"OSP_{key.upper().replace('-', '_')}"] = str(value)
    return siteprograms.checked(said)


def of_instance(
    instance: Instance,
    definition: definitions.Definition,
    disks: Sequence[Disk],
    *,
    debug: int = 0,
) -> dict[str, str]:
    """Return what a script that works on an instance is told."""
    parameters = instance.osparams | instance.osparams_private
    said = of_os(definition, instance.os, parameters, debug=debug)
    for key in ("name", "os", "uuid", "ctime", "mtime", "primary_node"):
        said[f"INSTANCE_{key.upper()}"] = str(getattr(instance, key))
    said["INSTANCE_SECONDARY_NODES"] = " ".join(instance.secondary_nodes)
    said["HYPERVISOR"] = instance.hypervisor
    said["DISK_COUNT"] = str(len(disks))
    said["NIC_COUNT"] = str(len(instance.nics))
    for index, disk in enumerate(disks):
        said |= _disk(disk, f"DISK_{index}_", instance.hvparams.get("disk_type"))
    for index, nic in enumerate(instance.nics):
        said |= _nic(nic, f"NIC_{index}_", instance.hvparams.get("nic_type"))
    for kind, values in (("BE", instance.beparams), ("HV", instance.hvparams)):
        said |= {f"INSTANCE_{kind}_{key}": str(value) for key, value in values.items()}
    return siteprograms.checked(said)


def _disk(disk: Disk, prefix: str, frontend: object) -> dict[str, str]:
    said: dict[str, object] = {"ACCESS": disk.mode, "UUID": disk.uuid, "SIZE": disk.size}
    optional = {"PATH": disk.path, "URI": disk.uri, "NAME": disk.name}
    said |= {key: value for key, value in optional.items() if value}
    if frontend is not None:
        said["FRONTEND_TYPE"] = frontend
    if disk.format != "raw":
        said["FORMAT"] = disk.format
    if disk.template in _ON_DEVICES:
        said["BACKEND_TYPE"] = "block"
    elif disk.template in _IN_FILES:
        said["BACKEND_TYPE"] = f"file:{disk.driver}"
    return {prefix + key: str(value) for key, value in said.items()}


def _nic(nic: Nic, prefix: str, frontend: object) -> dict[str, str]:
    mode, link = nic.nicparams.get("mode"), nic.nicparams.get("link")
    said: dict[str, object] = {"MAC": nic.mac, "UUID": nic.uuid, "MODE": mode}
    optional = {"NAME": nic.name, "IP": nic.ip, "LINK": link}
    said |= {key: value for key, value in optional.items() if value}
    if mode == "bridged":
        said["BRIDGE"] = link
    if frontend is not None:
        said["FRONTEND_TYPE"] = frontend
    told = {prefix + key: str(value) for key, value in said.items()}
    return told | (networks.environment(nic.netinfo, prefix) if nic.netinfo else {})
