"""An instance and a qemu's capabilities, made into a command line. Pure: nothing here looks around.

It is made in two steps, as Ganeti does. `prepare` gives what the guest will see, for as long as it
lives and wherever it moves: the runtime. `complete` adds what belongs to this node and this start:
the taps, where disks are, who may look, the sockets for our daemons. A qemu always starts without
running its guest, who waits until all else is done.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import (
    capabilities,
    displays,
    drives,
    machine,
    nics,
    places,
    runtimefile,
    slots,
)

_PAUSED: Final = "-S"
_RUN_WITH: Final = (9, 1)
"""Since then ``-run-with`` takes the user and the directory; the older words are to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What belongs to one start on one node."""

    drives: Sequence[drives.Drive]
    taps: Sequence[nics.Tap]
    address: str = ""
    """Where VNC or SPICE listens."""
    run_as: str = ""
    """The user to become once all is open."""
    hold: bool = False
    """Stay when the guest powers off, so that its end is not missed."""
    incoming: str = ""
    """Wait for a guest to come from elsewhere, at this address (``defer``: told later)."""


def prepare(
    instance: instances.Instance,
    known: capabilities.Capabilities,
    where: places.Places,
    disks: Sequence[drives.Drive],
) -> runtimefile.Runtime:
    """Return how an instance is to be started; raises BadInput for what cannot be."""
    hvparams = instance.hvparams
    kind = known.machine(hvparams.machine_version)
    layout = slots.Layout(hvparams, kind)
    taken = [info for _, info in drives.removable(hvparams, kind)]
    placed = []
    for drive in disks:
        info = layout.disk(drive.uuid, taken)
        known.need(str(info["driver"]))
        taken.append(info)
        about = {**drive.disk, "hvinfo": info}
        placed.append(runtimefile.Disk(about, drive.link, drive.uri))
    cards = []
    if instance.nics:
        nics.wanted(hvparams, known)
    for nic in instance.nics:
        info = layout.nic(nic.uuid, taken)
        taken.append(info)
        cards.append(placed_nic(nic, info))
    return runtimefile.Runtime(
        command=tuple(machine.words(instance, known, where)),
        nics=tuple(cards),
        hvparams=hvparams,
        disks=tuple(placed),
    )


def complete(
    runtime: runtimefile.Runtime,
    instance: instances.Instance,
    known: capabilities.Capabilities,
    where: places.Places,
    start: Start,
) -> list[str]:
    """Return the whole command line for one start on this node.

    What the guest sees comes from the runtime, what it does not from the instance as it is
    configured now.
    """
    if len(start.drives) != len(runtime.disks) or len(start.taps) != len(runtime.nics):
        raise ValueError("a start needs the drives and taps that its runtime has")
    now, then = instance.hvparams, runtime.hvparams
    line = list(runtime.command)
    if not {"-vnc", "-spice", "-display", "-nographic"} & set(line):
        line += displays.servers(instance, start.address, where, known)
    line += _confined(instance, known, where, start, line)
    asked = nics.wanted(then, known) if runtime.nics else nics.Wanted()
    turns = drives.boot_indices(then, "network", len(runtime.nics))
    for nic, tap, turn in zip(runtime.nics, start.taps, turns, strict=True):
        line += nics.arguments(nic, tap, asked, turn)
    if not runtime.nics:
        line += ["-nic", "none"]
    for suffix in (".qmp", ".kvmd"):
        line += ["-qmp", machine.listening(where.socket(instance.name, suffix))]
    turns = drives.boot_indices(then, "disk", len(runtime.disks))
    places_of = _places(runtime, known)
    for drive, info, turn in zip(start.drives, places_of, turns, strict=True):
        line += drives.arguments(drive, info, disk_params(now, then), turn)
    if start.incoming:
        line += ["-incoming", start.incoming]
    if start.hold and known.can_hold:
        line += ["-action", "shutdown=pause"]
    # Who comes from elsewhere runs as soon as he is here, if he ran there.
    line = [word for word in line if word != _PAUSED]
    return line if start.incoming else [*line, _PAUSED]


def matched(
    name: str, runtime: runtimefile.Runtime, ready: Sequence[drives.Drive]
) -> tuple[runtimefile.Runtime, list[drives.Drive]]:
    """Return the drives in the order in which the guest has its disks, and where they are here.

    What was configured while the guest ran, but never plugged in, is left out; raises BadInput if
    a disk that the guest has is none of the instance's any more.
    """
    by_uuid = {drive.uuid: drive for drive in ready}
    found: list[drives.Drive] = []
    for number, disk in enumerate(runtime.disks):
        drive = by_uuid.get(disk.uuid) if disk.uuid else None
        if drive is None and not disk.uuid and len(ready) == len(runtime.disks):
            drive = ready[number]  # very old files name none
        if drive is None:
            raise errors.BadInput(f"{name} runs with a disk {disk.uuid} that it is not to have")
        found.append(drive)
    here = (
        runtimefile.Disk(disk.about, drive.link, drive.uri)
        for disk, drive in zip(runtime.disks, found, strict=True)
    )
    return dataclasses.replace(runtime, disks=tuple(here)), found


def placed_nic(nic: instances.Nic, info: Mapping[str, str | int]) -> instances.Nic:
    """Return a NIC with its place."""
    return instances.Nic(
        mac=nic.mac,
        uuid=nic.uuid,
        ip=nic.ip,
        name=nic.name,
        network=nic.network,
        netinfo=nic.netinfo,
        nicparams=nic.nicparams,
        hvinfo=dict(info),
    )


def disk_params(now: hypervisors.HvParams, then: hypervisors.HvParams) -> hypervisors.HvParams:
    """Return whose cache, discard and the like count: those configured now, if they still fit."""
    return now if now.disk_type == then.disk_type else then


def _places(runtime: runtimefile.Runtime, known: capabilities.Capabilities) -> list[slots.Hvinfo]:
    """Return each disk's place; IDE and SD ones that Ganeti left to qemu get the same ones."""
    layout = slots.Layout(runtime.hvparams, machine.kind_of(runtime.command))
    taken = [info for _, info in drives.removable(runtime.hvparams, layout.machine)]
    found: list[slots.Hvinfo] = []
    for disk in runtime.disks:
        info: slots.Hvinfo = dict(disk.about.get("hvinfo") or {})
        if not known.has(str(info.get("driver", ""))):
            info = layout.disk(str(disk.about.get("uuid", "")), [*taken, *found])
        found.append(info)
    return found


def _confined(
    instance: instances.Instance,
    known: capabilities.Capabilities,
    where: places.Places,
    start: Start,
    line: Sequence[str],
) -> list[str]:
    chroot = instance.hvparams.use_chroot and "-chroot" not in line
    directory = str(where.chroot(instance.name)) if chroot else ""
    words = []
    if known.version >= _RUN_WITH:
        both = {"user": start.run_as, "chroot": directory}
        given = ",".join(f"{key}={value}" for key, value in both.items() if value)
        return ["-run-with", given] if given else []
    if start.run_as:
        words += ["-runas", start.run_as]
    if directory:
        words += ["-chroot", directory]
    return words
