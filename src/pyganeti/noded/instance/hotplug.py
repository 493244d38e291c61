"""Disks and NICs that come to a running guest, go from it, or are exchanged.

Whether it can be is found out first, and a failure leaves the guest with what it had. The runtime
file follows, so that the guest has the same devices when it is moved or restarted as it was; see
`runtimes` for what holds when we are killed in between.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pyganeti.base import errors, log
from pyganeti.model import disk as disks
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.instance import hypervisor, runtimes
from pyganeti.noded.net import nic as network_cards
from pyganeti.noded.qemu import (
    capabilities,
    commandline,
    drives,
    machine,
    monitor,
    nics,
    plugging,
    process,
    runtimefile,
    slots,
)

_LOG = log.get(__name__)

_BUSY: Final = frozenset(
    ("inmigrate", "postmigrate", "finish-migrate", "shutdown", "internal-error", "save-vm")
)
"""States in which a guest's devices stay as they are."""

_MOVING: Final = frozenset(("setup", "active", "device", "pre-switchover", "wait-unplug"))
_DISKS: Final = frozenset(("paravirtual", *hypervisors.SCSI_DISKS))


async def check(host: hypervisor.Hypervisor, instance: instances.Instance) -> None:
    """Raise Failure unless the instance's devices can be changed now."""
    try:
        async with _open(host, instance):
            return
    except errors.Failure as error:
        raise errors.BadInput(f"Hotplug is not supported: {error}") from error


async def add_disk(
    host: hypervisor.Hypervisor, instance: instances.Instance, about: dict[str, Any], index: int
) -> None:
    """Give a running guest a disk that is active on this node; raises Failure."""
    async with _open(host, instance) as guest:
        guest.check_disks()
        wanted = disks.from_wire(about)
        if not wanted.uuid:
            raise errors.BadInput("a disk without a uuid cannot be plugged in")
        name = slots.device_id("disk", wanted.uuid)
        if guest.disk(wanted.uuid) is not None:
            _LOG.info("the guest has that disk already", name=instance.name, disk=wanted.uuid)
            return
        (ready,) = await host.storage.prepare(
            instance.name, [wanted], instance.hypervisor, first=index
        )
        hvinfo = guest.layout.disk(wanted.uuid, guest.taken)
        guest.known.need(str(hvinfo["driver"]))
        placed = {**about, "hvinfo": hvinfo}
        link = None if ready.link is None else str(ready.link)
        drive = drives.Drive(
            placed,
            link,
            ready.uri,
            is_device=ready.device.major is not None,
            image_format=ready.device.format,
        )
        entry = runtimefile.Disk(placed, link, ready.uri)
        planned = dataclasses.replace(guest.runtime, disks=(*guest.runtime.disks, entry))
        async with guest.written(name, planned):
            await plugging.add_disk(guest.talk, drive, hvinfo, guest.disk_params)
    _LOG.info("a disk was plugged in", name=instance.name, disk=wanted.uuid, device=name)


async def add_nic(
    host: hypervisor.Hypervisor, instance: instances.Instance, nic: instances.Nic, index: int
) -> None:
    """Give a running guest a NIC; raises Failure."""
    async with _open(host, instance) as guest:
        guest.check_nics()
        if guest.nic(nic.uuid) is not None:
            _LOG.info("the guest has that NIC already", name=instance.name, nic=nic.uuid)
            return
        hvinfo = guest.layout.nic(nic.uuid, guest.taken)
        if guest.runtime.hvparams.use_chroot:
            # In its empty directory qemu finds no ROM. It is told so wherever the guest comes to.
            hvinfo["romfile"] = ""
        await guest.plug(nic, hvinfo, index)
    _LOG.info("a NIC was plugged in", name=instance.name, nic=nic.uuid)


async def remove(
    host: hypervisor.Hypervisor, instance: instances.Instance, kind: str, uuid: str
) -> dict[str, str | int]:
    """Take a ``disk`` or ``nic`` away from a running guest; return where qemu had it.

    Raises Failure if there is none of that uuid, or if the guest does not let go of it.
    """
    async with _open(host, instance) as guest:
        if kind == "disk":
            guest.check_disks()
            disk = guest.disk(uuid)
            if disk is None:
                raise _missing("disk", uuid)
            await guest.take_disk(disk)
            hvinfo = disk.hvinfo
        else:
            guest.check_nics()
            nic = guest.nic(uuid)
            if nic is None:
                raise _missing("NIC", uuid)
            await guest.take_nic(nic)
            hvinfo = nic.hvinfo
    _LOG.info("a device was taken out", name=instance.name, kind=kind, uuid=uuid)
    return hvinfo


async def exchange_nic(
    host: hypervisor.Hypervisor, instance: instances.Instance, nic: instances.Nic, index: int
) -> None:
    """Replace a running guest's NIC by one as it is to be, in the same place.

    Raises Failure; then the guest has the old one, unless it cannot be given back, which is logged.
    """
    async with _open(host, instance) as guest:
        guest.check_nics()
        old = guest.nic(nic.uuid)
        if old is None:
            raise _missing("NIC", nic.uuid)
        await host.network.check([guest.card(nic, index)])
        await guest.take_nic(old)
        try:
            await guest.plug(nic, old.hvinfo, index)
        except BaseException:
            try:
                await guest.plug(old, old.hvinfo, index)
            except errors.Failure as error:
                _LOG.error(
                    "a guest's NIC is lost", name=instance.name, nic=nic.uuid, error=str(error)
                )
            raise
    _LOG.info("a NIC was exchanged", name=instance.name, nic=nic.uuid)


async def resize(
    host: hypervisor.Hypervisor, instance: instances.Instance, about: dict[str, Any], size: int
) -> None:
    """Tell a running guest that a disk has so many bytes now; raises Failure."""
    uuid = str(about.get("uuid") or "")
    async with _open(host, instance) as guest:
        disk = guest.disk(uuid)
        if disk is None:
            raise _missing("disk", uuid)
        node = str(disk.hvinfo.get("id") or slots.device_id("disk", uuid))
        await plugging.resize(guest.talk, node, size)
        grown = runtimefile.Disk({**disk.about, "size": size >> 20}, disk.link, disk.uri)
        others = (grown if one is disk else one for one in guest.runtime.disks)
        await guest.save(dataclasses.replace(guest.runtime, disks=tuple(others)))
    _LOG.info("a disk has another size", name=instance.name, disk=uuid, bytes=size)


async def grow_in_use(
    host: hypervisor.Hypervisor, disk: disks.Disk, amount: int, *, dry_run: bool
) -> bool:
    """Make an image larger by MiB that a running qemu has open, by that qemu; tell whether it has.

    Nobody else may change an image with an inner structure meanwhile. A plain one grows from
    outside, and qemu is told afterwards.
    """
    device = await host.storage.find(disk)
    if device is None or device.path is None or device.format == "raw" or not disk.uuid:
        return False
    node = slots.device_id("disk", disk.uuid)
    for name in await asyncio.to_thread(_linked, host, device.path):
        async with monitor.open(host.where.socket(name, ".qmp")) as talk:
            if node in await plugging.nodes(talk):
                if not dry_run:
                    size = await plugging.size_of(talk, node) + (amount << 20)
                    await plugging.resize(talk, node, size)
                    _LOG.info("an image has grown in use", name=name, disk=disk.uuid, bytes=size)
                return True
    return False


def _linked(host: hypervisor.Hypervisor, path: str) -> list[str]:
    """Return the running instances that have a link to that file."""
    found = []
    for name in process.names(host.where):
        links = (host.storage.links.path(name, n) for n in host.storage.links.indexes(name))
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) == path for link in links):
                found.append(name)
    return found


@contextlib.asynccontextmanager
async def _open(
    host: hypervisor.Hypervisor, instance: instances.Instance
) -> AsyncIterator["_Guest"]:
    hypervisor.check(instance.hypervisor)
    name = instance.name
    if await asyncio.to_thread(process.find, host.where, name) is None:
        raise errors.BadInput(f"{name} does not run")
    async with monitor.open(host.where.socket(name, ".qmp")) as talk:
        status = await talk.status()
        moving = (await talk.execute("query-migrate")).get("status", "none")
        if status in _BUSY or moving in _MOVING or moving.startswith("postcopy"):
            raise errors.Unavailable(f"{name} is {status}, its devices cannot be changed")
        runtime = await runtimes.load(host, name)
        known = await host.known.of(runtime.command[0])
        runtime = await runtimes.settle(host, name, runtime, talk)
        yield _Guest(host, instance, talk, known, runtime)


class _Guest:
    """A running guest whose devices are changed, and the runtime that follows."""

    def __init__(
        self,
        host: hypervisor.Hypervisor,
        instance: instances.Instance,
        talk: monitor.Monitor,
        known: capabilities.Capabilities,
        runtime: runtimefile.Runtime,
    ) -> None:
        self._host = host
        self._instance = instance
        self.talk = talk
        self.known = known
        self.runtime = runtime

    @property
    def layout(self) -> slots.Layout:
        """The buses that the guest has."""
        return slots.Layout(self.runtime.hvparams, machine.kind_of(self.runtime.command))

    @property
    def taken(self) -> list[slots.Hvinfo]:
        """Where devices sit already."""
        removable = drives.removable(self.runtime.hvparams, self.layout.machine)
        return [
            *(info for _, info in removable),
            *(disk.hvinfo for disk in self.runtime.disks),
            *(nic.hvinfo for nic in self.runtime.nics),
        ]

    @property
    def disk_params(self) -> hypervisors.HvParams:
        """The parameters that count for a new disk, as they would at a start."""
        return commandline.disk_params(self._instance.hvparams, self.runtime.hvparams)

    def check_disks(self) -> None:
        """Raise BadInput if disks of this guest's type stay for as long as it runs."""
        kind = self.runtime.hvparams.disk_type
        if kind not in _DISKS:
            raise errors.BadInput(f"Hotplug is not supported for device type {kind}")

    def check_nics(self) -> None:
        """Raise BadInput if NICs of this guest's type stay for as long as it runs."""
        kind = self.runtime.hvparams.nic_type
        if kind == "ne2k_isa":
            raise errors.BadInput(f"Hotplug is not supported for device type {kind}")

    def disk(self, uuid: str | None) -> runtimefile.Disk | None:
        """Return the disk of that uuid that the guest has."""
        return next((disk for disk in self.runtime.disks if disk.uuid == uuid), None)

    def nic(self, uuid: str) -> instances.Nic | None:
        """Return the NIC of that uuid that the guest has."""
        return next((nic for nic in self.runtime.nics if nic.uuid == uuid), None)

    def card(self, nic: instances.Nic, index: int) -> network_cards.Nic:
        """Return a NIC as the network knows it."""
        instance = self._instance
        described = msgspec.to_builtins(nic)
        return network_cards.from_wire(instance.name, instance.tags, index, described)

    async def save(self, runtime: runtimefile.Runtime) -> None:
        """Have the runtime file say so."""
        await runtimes.save(self._host, self._instance.name, runtime)
        self.runtime = runtime

    @contextlib.asynccontextmanager
    async def written(self, device: str, planned: runtimefile.Runtime) -> AsyncIterator[None]:
        """Have the runtime file say what is about to be done; take it back if that fails."""
        before = self.runtime
        await self.save(planned)
        try:
            yield
        except BaseException:
            # Where qemu cannot even be asked, the file goes on saying it: see `runtimes`.
            with contextlib.suppress(errors.Failure):
                if device not in await plugging.devices(self.talk):
                    await self.save(before)
            raise

    async def plug(self, nic: instances.Nic, hvinfo: slots.Hvinfo, index: int) -> None:
        """Give the guest a NIC in that place."""
        host, name = self._host, self._instance.name
        asked = nics.wanted(self.runtime.hvparams, self.known)
        placed = commandline.placed_nic(nic, hvinfo)
        used = {attached.index for attached in await host.network.attached(name)}
        # The files of NICs keep their numbers for as long as the guest runs.
        number = index if index not in used else max(used) + 1
        card = self.card(nic, number)
        await host.network.check([card])
        async with host.network.plug(
            [card], queues=asked.queues, vnet_hdr=asked.vnet_hdr, vhost=asked.vhost
        ) as (tap,):
            lent = nics.Tap(tap.name, tap.descriptors, tap.vhost_descriptors)
            planned = dataclasses.replace(self.runtime, nics=(*self.runtime.nics, placed))
            async with self.written(str(hvinfo["id"]), planned):
                await plugging.add_nic(self.talk, placed, lent, asked)

    async def take_nic(self, nic: instances.Nic) -> None:
        """Take a NIC out of the guest, and its tap away."""
        device = str(nic.hvinfo.get("id") or slots.device_id("nic", nic.uuid))
        await plugging.remove(self.talk, device)
        await plugging.drop_netdev(self.talk, device)
        left = tuple(one for one in self.runtime.nics if one is not nic)
        await self.save(dataclasses.replace(self.runtime, nics=left))
        await runtimes.release_nic(self._host, self._instance.name, nic.uuid)

    async def take_disk(self, disk: runtimefile.Disk) -> None:
        """Take a disk out of the guest, and the link to it away."""
        device = str(disk.hvinfo.get("id") or slots.device_id("disk", disk.uuid))
        await plugging.remove(self.talk, device)
        await plugging.drop_node(self.talk, device)
        left = tuple(one for one in self.runtime.disks if one is not disk)
        await self.save(dataclasses.replace(self.runtime, disks=left))
        links = self._host.where.disk_links
        # A disk that was plugged in since may have got the same number.
        if (
            disk.link
            and Path(disk.link).parent == links
            and disk.link not in {one.link for one in left}
        ):
            await asyncio.to_thread(Path(disk.link).unlink, missing_ok=True)


def _missing(kind: str, uuid: str) -> errors.Failure:
    return errors.BadInput(f"the running guest has no {kind} with UUID {uuid}")
