"""Disks, CDs and floppies on the command line: a block node each, and the device that shows it.

Cache modes mean what they mean in Ganeti: ``none`` goes past the host's cache, ``writethrough``
tells the guest that there is no cache to flush. A disk that another node can also write to (all
external storage but RBD) always goes past the host's cache, or a migration would damage it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.noded.qemu import options, slots, uris

FILES: Final = frozenset(("file", "host_device"))
"""The drivers of what the host's kernel opens."""

_SHARED: Final = frozenset(("blockdev", "diskless", "ext", "gluster", "sharedfile"))
_PASSED_THROUGH: Final = frozenset(("scsi-block", "scsi-generic"))
"""Devices that hand the host's SCSI device to the guest as it is."""


_PLAIN: Final = "sd-card"
"""A device that knows of no turn at booting and of no cache."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk as storage has made it ready on this node."""

    disk: Mapping[str, Any]
    """The disk's own description, as the master sent it."""
    link: str | None
    """The path under which qemu opens it; None if there is only an address."""
    uri: str | None = None
    """The address at which qemu can reach it by itself."""
    is_device: bool = False
    """The link leads to a block device, not a file."""
    image_format: str = "raw"

    @property
    def uuid(self) -> str:
        """The disk's."""
        return str(self.disk.get("uuid", ""))

    @property
    def by_uri(self) -> bool:
        """Whether qemu is to reach it by itself, without the host's kernel."""
        params = self.disk.get("params") or {}
        return bool(self.uri) and (params.get("access") == "userspace" or not self.link)


def arguments(
    drive: Drive, hvinfo: slots.Hvinfo, hvparams: hypervisors.HvParams, bootindex: int | None
) -> list[str]:
    """Return the options for one disk."""
    return [
        "-blockdev",
        options.render("", node(drive, hvinfo, hvparams)),
        "-device",
        options.headed("driver", device(drive, hvinfo, hvparams, bootindex)),
    ]


def node(
    drive: Drive, hvinfo: slots.Hvinfo, hvparams: hypervisors.HvParams
) -> dict[str, options.Value]:
    """Return a disk's block node; raises BadInput for a disk that cannot be."""
    if drive.disk.get("mode", "rw") != "rw":
        raise errors.BadInput(f"disk {drive.uuid} is read-only, which is not possible with KVM")
    cache, aio = _modes(drive, hvparams)
    discard = None if hvparams.disk_discard == "default" else hvparams.disk_discard
    caching: dict[str, options.Value] = {}
    if cache != "default":
        caching["cache.direct"] = cache == "none"
    below = _protocol(drive)
    if below["driver"] in FILES:
        below |= {"aio": aio}
    below |= caching | {"discard": discard}
    top: dict[str, options.Value] = {"driver": drive.image_format, "node-name": str(hvinfo["id"])}
    return top | caching | {"discard": discard} | options.nested("file", below)


def device(
    drive: Drive, hvinfo: slots.Hvinfo, hvparams: hypervisors.HvParams, bootindex: int | None
) -> dict[str, options.Value]:
    """Return the device that shows a disk's node to the guest."""
    shown: dict[str, options.Value] = {"driver": hvinfo["driver"], **hvinfo}
    shown["drive"] = str(hvinfo["id"])
    if hvinfo["driver"] == _PLAIN:
        return shown
    shown["bootindex"] = bootindex
    cache, _ = _modes(drive, hvparams)
    if cache != "default" and hvinfo["driver"] not in _PASSED_THROUGH:
        shown["write-cache"] = "off" if cache == "writethrough" else "on"
    return shown


def removable(
    hvparams: hypervisors.HvParams, machine: str
) -> Iterator[tuple[list[str], slots.Hvinfo]]:
    """Yield the options for each CD and floppy, and the place that it takes."""
    layout = slots.Layout(hvparams, machine)
    boots = "" if hvparams.kernel_path else hvparams.boot_order
    taken: list[slots.Hvinfo] = []
    for number, image in enumerate((hvparams.cdrom_image_path, hvparams.cdrom2_image_path)):
        if not image:
            continue
        first = number == 0 and boots == "cdrom"
        # SeaBIOS starts a CD from IDE in any case, so Ganeti puts the one to boot from there.
        kind = "ide" if first else hvparams.cdrom_disk_type or hvparams.disk_type
        info = layout.cdrom(kind, f"cdrom{number}", taken)
        taken.append(info)
        shown: dict[str, options.Value] = {"driver": info["driver"], **info}
        shown |= {"drive": info["id"], "bootindex": 1 if first else None}
        yield (
            [*_medium(str(info["id"]), image), "-device", options.headed("driver", shown)],
            info,
        )
    if hvparams.floppy_image_path:
        words = [*_medium("floppy0", hvparams.floppy_image_path, writable=True), "-device"]
        if slots.is_q35(machine):
            words += ["isa-fdc,id=fdc0", "-device"]
        words.append("floppy,id=floppy0,unit=0,drive=floppy0")
        if boots == "floppy":
            # Its turn is the controller's property, which on a PC is part of the board.
            words += ["-global", "driver=isa-fdc,property=bootindexA,value=1"]
        yield words, {}


def _medium(node: str, image: str, *, writable: bool = False) -> list[str]:
    below = uris.driver_options(image) if "://" in image else {"driver": "file", "filename": image}
    top: dict[str, options.Value] = {"node-name": node, "read-only": not writable}
    return ["-blockdev", options.render("driver=raw", top | options.nested("file", below))]


def _protocol(drive: Drive) -> dict[str, options.Value]:
    if drive.by_uri:
        return uris.driver_options(drive.uri or "")
    if not drive.link:
        raise errors.BadInput(f"disk {drive.uuid} has neither a path nor an address")
    return {"driver": "host_device" if drive.is_device else "file", "filename": drive.link}


def _modes(drive: Drive, hvparams: hypervisors.HvParams) -> tuple[str, str]:
    """Return the cache mode and the way of input and output that count for a disk."""
    cache = "none" if drive.disk.get("dev_type") in _SHARED else hvparams.disk_cache
    aio = hvparams.disk_aio or "threads"
    return ("none" if aio == "native" else cache), aio


def boot_indices(hvparams: hypervisors.HvParams, kind: str, count: int) -> Sequence[int | None]:
    """Return at which turn each of the disks, or of the NICs, is tried for booting."""
    wanted = "" if hvparams.kernel_path else hvparams.boot_order
    if kind == "disk":
        first = {"disk": 1, "cdrom": 2, "floppy": 2, "network": 100}.get(wanted)
        return [first if n == 0 else None for n in range(count)]
    return [1 + n if wanted == "network" else None for n in range(count)]
