"""What a master says about an instance: a whole description, as it goes over the node RPC.

The defaults are those of a cluster for guests of 512 bytes under emulation: 16 MiB, one disk of a
MiB that is a shared file with the guest's boot sector on it, no network card.
"""

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from lab import guests
from lab.cluster import founding, machines, network
from pyganeti.model import hvparams as hypervisors

QEMU: Final = "/usr/bin/qemu-system-x86_64"
BRIDGED: Final = {"mode": "bridged", "link": network.BRIDGE, "vlan": ""}

_MEMORY: Final = 16
_CREATED: Final = 1_700_000_000.0
HVPARAMS: Final = {
    "kvm_flag": "tcg,tb-size=8",
    "kvm_path": QEMU,
    "user_shutdown": True,
    "vhost_net": False,
}


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance. ``folder`` is where its disks are files; with ``shared`` all nodes see it."""

    name: str
    folder: Path
    sector: bytes = guests.polite()
    disks: int = 1
    nics: int = 0
    memory: int = _MEMORY
    shared: bool = True
    hvparams: Mapping[str, object] = field(default_factory=dict)
    tags: Sequence[str] = ()

    @property
    def uuid(self) -> str:
        """The instance's uuid."""
        return founding.uuid_of(self.name)

    @property
    def directory(self) -> Path:
        """The directory of its disks."""
        return self.folder / self.name

    def but(self, **hvparams: object) -> "Instance":
        """Return the same with other hypervisor parameters."""
        return dataclasses.replace(self, hvparams={**self.hvparams, **hvparams})

    def wire(self, primary: machines.Node, *, admin_state: str = "up") -> dict[str, Any]:
        """Return what a master says about it to a node."""
        described = self.disks_info()
        return {
            "name": self.name,
            "uuid": self.uuid,
            "primary_node": founding.uuid_of(primary.name),
            "secondary_nodes": [],
            "os": founding.OS,
            "hypervisor": "kvm",
            "hvparams": self.all_hvparams(),
            "beparams": {
                "always_failover": False,
                "auto_balance": True,
                "maxmem": self.memory,
                "minmem": self.memory,
                "spindle_use": 1,
                "vcpus": 1,
            },
            "osparams": founding.os_parameters(self.sector),
            "osparams_private": {},
            "admin_state": admin_state,
            "admin_state_source": "admin",
            "nics": [self._nic(index) for index in range(self.nics)],
            "disks": [disk["uuid"] for disk in described],
            "disks_info": described,
            "disks_active": admin_state == "up",
            "network_port": None,
            "serial_no": 1,
            "ctime": _CREATED,
            "mtime": _CREATED,
            "tags": list(self.tags),
        }

    def disks_info(self) -> list[dict[str, Any]]:
        """Return what a master says about its disks."""
        template = "sharedfile" if self.shared else "file"
        return [
            {
                "dev_type": template,
                "logical_id": ["loop", str(self.directory / f"disk{index}")],
                "children": [],
                "nodes": [],
                "iv_name": f"disk/{index}",
                "size": 1,
                "mode": "rw",
                "params": {},
                "dynamic_params": {},
                "serial_no": 1,
                "uuid": founding.uuid_of(f"disk{index}.{self.name}"),
                "ctime": _CREATED,
                "mtime": _CREATED,
            }
            for index in range(self.disks)
        ]

    def all_hvparams(self) -> dict[str, Any]:
        """Return all hypervisor parameters, as a master fills them in."""
        known: dict[str, Any] = msgspec.to_builtins(hypervisors.HvParams())
        return known | HVPARAMS | dict(self.hvparams)

    def taps(self, names: Sequence[str]) -> list[str]:
        """Return those of a node's interfaces that are this instance's taps."""
        digits = [self._nic(index)["uuid"].replace("-", "") for index in range(self.nics)]
        return [
            name
            for name in names
            if name.startswith("tap")
            and any(each.startswith(name.removeprefix("tap")) for each in digits)
        ]

    def _nic(self, index: int) -> dict[str, Any]:
        number = uuid.UUID(founding.uuid_of(f"nic{index}.{self.name}"))
        card = number.bytes[:3].hex(":")
        return {"mac": f"aa:00:00:{card}", "ip": None, "uuid": str(number), "nicparams": BRIDGED}
