"""Where each disk and NIC of an instance sits on qemu's buses: what Ganeti calls hvinfo.

Ganeti's layout on ``pci.0``: the slots up to `kvm_pci_reservations` are qemu's own, disks and then
NICs follow. The root bus of q35 takes no devices while the guest runs, so there each slot is a
root port with one device. SCSI disks have one target each. The place is written into the runtime
file, and a guest that moves finds its devices where they were.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors

Hvinfo: TypeAlias = dict[str, str | int]

SCSI_BUS: Final = "scsi.0"
_PCI_SLOTS: Final = range(32)
_PCIE_SLOTS: Final = range(0x1B)
"""Above are q35's own: sound at 1b, USB from 1d, the rest of the chip set at 1f."""

_SCSI_TARGETS: Final = range(7)
"""What the smallest controller, lsi, has; 7 is itself."""

_SCSI_TARGETS_BY_CONTROLLER: Final = {"megasas": range(64), "virtio-scsi-pci": range(255)}
_NICS: Final = {"paravirtual": "virtio-net-pci"}


def device_id(kind: str, uuid: str) -> str:
    """Return the name that a disk or NIC has in qemu, which Ganeti forms of its uuid."""
    return f"{kind}-{uuid.rsplit('-', 2)[0]}"


def is_q35(machine: str) -> bool:
    """Tell whether a machine type has PCI Express."""
    return "q35" in machine.partition(",")[0]


@dataclass(frozen=True, slots=True)
class Layout:
    """The buses of one machine."""

    hvparams: hypervisors.HvParams
    machine: str

    @property
    def ports(self) -> tuple[int, ...]:
        """The slots that are root ports; none but on q35."""
        if not is_q35(self.machine):
            return ()
        return tuple(n for n in _PCIE_SLOTS if n >= self.hvparams.kvm_pci_reservations)

    def disk(self, uuid: str, others: Iterable[Hvinfo]) -> Hvinfo:
        """Return a free place for a disk; raises BadInput if there is none."""
        kind = self.hvparams.disk_type
        name = device_id("disk", uuid)
        if kind in hypervisors.SCSI_DISKS:
            target = self._free_target(others)
            driver = "scsi-hd" if kind == "scsi" else kind
            bus: Hvinfo = {"bus": SCSI_BUS, "channel": 0, "scsi-id": target, "lun": 0}
            return {"driver": driver, "id": name} | bus
        if kind == "ide":
            return {"driver": "ide-hd", "id": name} | self._free_ide(others)
        if kind == "sd":
            return {"driver": "sd-card", "id": name}
        return {"driver": "virtio-blk-pci", "id": name} | self._free_pci(others)

    def cdrom(self, kind: str, name: str, others: Iterable[Hvinfo]) -> Hvinfo:
        """Return a place for a CD drive, made like a disk of that type."""
        if kind in hypervisors.SCSI_DISKS:
            target = self._free_target(others)
            bus: Hvinfo = {"bus": SCSI_BUS, "channel": 0, "scsi-id": target, "lun": 0}
            return {"driver": "scsi-cd", "id": name} | bus
        if kind == "paravirtual":
            return {"driver": "virtio-blk-pci", "id": name}
        return {"driver": "ide-cd", "id": name} | self._free_ide(others)

    def nic(self, uuid: str, others: Iterable[Hvinfo]) -> Hvinfo:
        """Return a free place for a NIC; raises BadInput if there is none."""
        kind = self.hvparams.nic_type
        info: Hvinfo = {"driver": _NICS.get(kind, kind), "id": device_id("nic", uuid)}
        return info if kind == "ne2k_isa" else info | self._free_pci(others)

    def _free_pci(self, others: Iterable[Hvinfo]) -> Hvinfo:
        if self.ports:
            used = {info.get("bus") for info in others}
            port = next((f"port{n}" for n in self.ports if f"port{n}" not in used), None)
            if port is None:
                raise errors.BadInput("there is no PCI Express port left for another device")
            return {"bus": port, "addr": "0x0"}
        taken = {int(str(i["addr"]), 0) for i in others if i.get("bus") == "pci.0" and "addr" in i}
        wanted = (n for n in _PCI_SLOTS if n >= self.hvparams.kvm_pci_reservations)
        slot = next((n for n in wanted if n not in taken), None)
        if slot is None:
            raise errors.BadInput("there is no PCI slot left for another device")
        return {"bus": "pci.0", "addr": hex(slot)}

    def _free_target(self, others: Iterable[Hvinfo]) -> int:
        taken = {info.get("scsi-id") for info in others}
        controller = self.hvparams.scsi_controller_type
        targets = _SCSI_TARGETS_BY_CONTROLLER.get(controller, _SCSI_TARGETS)
        target = next((n for n in targets if n not in taken), None)
        if target is None:
            raise errors.BadInput(f"{controller} takes no more than {len(targets)} disks")
        return target

    def _free_ide(self, others: Iterable[Hvinfo]) -> Hvinfo:
        sata = is_q35(self.machine)
        every = [(n, 0) for n in range(6)] if sata else [(b, u) for b in (0, 1) for u in (0, 1)]
        taken = {(info.get("bus"), info.get("unit")) for info in others}
        free = next(((b, u) for b, u in every if (f"ide.{b}", u) not in taken), None)
        if free is None:
            raise errors.BadInput(f"there is no room for more than {len(every)} IDE drives")
        return {"bus": f"ide.{free[0]}", "unit": free[1]}
