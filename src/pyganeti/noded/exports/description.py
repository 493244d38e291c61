"""An export's configuration, ``config.ini``: what an import needs to make the instance again.

Ganeti's keys and words, ``None`` and ``True`` among them, which is how Python prints what a
configuration holds. A percent sign is doubled, since readers take a single one for something else.
Decides only.
"""

import configparser
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.model import instance as instances

VERSION: Final = 0

_EXPORT: Final = "export"
_INSTANCE: Final = "instance"
_OURS_ALONE: Final = frozenset(
    {"migration_bandwidth", "migration_mode", "migration_port", "xen_cmd"}
)
"""Hypervisor parameters that belong to a cluster, not to an instance."""

_NIC_PARAMETERS: Final = ("link", "mode", "vlan")


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A NIC, as far as an export tells of it."""

    mac: str
    ip: str | None = None
    network: str | None = None
    name: str | None = None
    nicparams: dict[str, Any] = {}


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as the master sends it, as far as an export tells of it."""

    name: str
    os: str = ""
    primary_node: str | None = None
    hypervisor: str = "kvm"
    beparams: dict[str, Any] = {}
    hvparams: dict[str, Any] = {}
    osparams: dict[str, Any] = {}
    osparams_private: dict[str, Any] = {}
    nics: list[Nic] = []
    tags: list[str] = []

    def __post_init__(self) -> None:
        instances.check_name(self.name)


def write(instance: Instance, dumped: Sequence[disks.Disk | None], now: int) -> str:
    """Return the text of a configuration; None among the disks is one that was not exported."""
    kept = configparser.ConfigParser()
    sections: dict[str, dict[str, object]] = {
        _EXPORT: {
            "version": VERSION,
            "timestamp": now,
            "source": instance.primary_node,
            "os": instance.os,
            "compression": "none",
        },
        _INSTANCE: {
            "name": instance.name,
            **_sizes(instance.beparams),
            "disk_template": _template(dumped),
            "hypervisor": instance.hypervisor,
            "tags": " ".join(sorted(instance.tags)),
            **_nics(instance.nics),
            **_disks(dumped),
        },
        "hypervisor": {k: v for k, v in instance.hvparams.items() if k not in _OURS_ALONE},
        "backend": instance.beparams,
        "os": instance.osparams,
        "os_private": instance.osparams_private,
    }
    for section, values in sections.items():
        kept.add_section(section)
        for key, value in values.items():
            kept.set(section, _key(key), str(value).replace("%", "%%"))
    text = io.StringIO()
    kept.write(text)
    return text.getvalue()


def check(text: str) -> str:
    """Return a configuration as Ganeti's own would write it again.

    Raises Damaged if it cannot be read, or is not an export's.
    """
    kept = configparser.ConfigParser()
    try:
        kept.read_string(text)
    except configparser.Error as error:
        raise errors.Damaged(f"the export's configuration cannot be read: {error}") from error
    if not kept.has_section(_EXPORT) or not kept.has_section(_INSTANCE):
        raise errors.Damaged("Export info file doesn't have the required fields")
    out = io.StringIO()
    kept.write(out)
    return out.getvalue()


def _sizes(parameters: Mapping[str, Any]) -> dict[str, object]:
    try:
        most, least, processors = (int(parameters[key]) for key in ("maxmem", "minmem", "vcpus"))
    except (KeyError, TypeError, ValueError) as error:
        raise errors.BadInput(
            f"the instance's memory and processors are not told: {error}"
        ) from error
    # What there was before there were two.
    return {"maxmem": most, "minmem": least, "memory": most, "vcpus": processors}


def _template(dumped: Sequence[disks.Disk | None]) -> str:
    found = {disk.dev_type.value for disk in dumped if disk is not None}
    if not found:
        return disks.Template.DISKLESS.value
    return found.pop() if len(found) == 1 else "mixed"


def _nics(nics: Sequence[Nic]) -> dict[str, object]:
    told: dict[str, object] = {}
    for index, nic in enumerate(nics):
        for key in ("mac", "ip", "network", "name"):
            told[f"nic{index}_{key}"] = getattr(nic, key)
        for key in _NIC_PARAMETERS:
            told[f"nic{index}_{key}"] = nic.nicparams.get(key)
    told["nic_count"] = len(nics)
    return told


def _disks(dumped: Sequence[disks.Disk | None]) -> dict[str, object]:
    told: dict[str, object] = {}
    for index, disk in enumerate(dumped):
        if disk is not None:
            told[f"disk{index}_ivname"] = disk.iv_name
            told[f"disk{index}_dump"] = disk.uuid
            told[f"disk{index}_size"] = disk.size
            told[f"disk{index}_name"] = disk.name
    told["disk_count"] = sum(disk is not None for disk in dumped)
    return told


def _key(name: str) -> str:
    if not name or name != name.strip() or any(c in "=:\n\r" for c in name) or name[0] in "#;[":
        raise errors.BadInput(f"{name!r} cannot be a key in an export's configuration")
    return name
