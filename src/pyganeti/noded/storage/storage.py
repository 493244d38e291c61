"""The disks of this node: which driver has one, and what a request comes to in drivers' steps.

The one place that knows every driver, and the one that others use. What the system says about a
disk (OSError) becomes a `errors.Failure` here, with the disk's description.
"""

import asyncio
import contextlib
import errno
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyganeti.base import errors, paths
from pyganeti.model import disk as disks
from pyganeti.noded.storage import (
    blockdev,
    copying,
    directories,
    diskless,
    drbd,
    driver,
    ext,
    file,
    filepaths,
    gluster,
    imagefiles,
    links,
    plain,
    programs,
    rbd,
    sharedfile,
    space,
    units,
)

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Linked:
    """A disk that is ready for a hypervisor: its link, its URI if it is to use that, its device.

    ``link`` is None if there is only the URI, ``uri`` is None unless the disk's parameters ask
    for access from userspace.
    """

    disk: disks.Disk
    link: Path | None
    uri: str | None
    device: driver.Device


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a disk that is busy is tried to be removed, and how often; in seconds."""

    pause: float = 3.0
    total: float = 30.0


class Storage:
    """Everything about disks that this node can do."""

    def __init__(
        self,
        layout: paths.Paths,
        environ: Mapping[str, str],
        *,
        patience: Patience = Patience(),
    ) -> None:
        self._patience = patience
        self.tools = programs.Programs(environ)
        self.providers = (layout.root / "srv/ganeti/extstorage",)
        self.links = links.Links(layout.run_dir / "instance-disks")
        self.allowed = filepaths.FilePaths(layout.config_dir / "file-storage-paths")
        self.directories = directories.Directories(self.allowed)
        self._images = imagefiles.ImageFiles(self.allowed, self.tools)
        self.units = units.Units(self.tools)
        self.space = space.Space(self.tools)
        self._copying = copying.Copying(self.tools)
        self._drivers: dict[disks.Template, driver.Driver] = {
            disks.Template.DISKLESS: diskless.Diskless(),
            disks.Template.FILE: file.File(self._images),
            disks.Template.SHARED_FILE: sharedfile.SharedFile(self._images),
            disks.Template.BLOCK: blockdev.BlockDevice(),
            disks.Template.PLAIN: plain.Plain(self.tools),
            disks.Template.RBD: rbd.Rbd(self.tools),
            disks.Template.EXT: ext.Ext(
                self.tools,
                search=self.providers,
                logs=layout.log_dir / "extstorage",
            ),
            disks.Template.GLUSTER: gluster.Gluster(self._images, self.tools, layout),
            disks.Template.DRBD: drbd.Drbd(),
        }

    def driver_of(self, disk: disks.Disk) -> driver.Driver:
        """Return what does a disk's kind of storage; others ask the methods below."""
        return self._drivers[disk.dev_type]

    async def create(
        self, disk: disks.Disk, *, primary: bool, info: str, exclusive: bool
    ) -> list[Any]:
        """Make a disk, ready for use where it will be used; return its logical id."""
        with _in_words(disk):
            if disk.size <= 0 and disk.dev_type is not disks.Template.BLOCK:
                raise errors.BadInput(f"{disk.describe()} cannot have {disk.size} MiB")
            own = self.driver_of(disk)
            await own.create(disk, exclusive=exclusive)
            if primary or disk.assembles_on_secondary:
                await own.assemble(disk)
                await own.open(disk, exclusive=True)
            await own.set_info(disk, info)
        return list(disk.logical_id)

    async def assemble(
        self, disk: disks.Disk, instance: str, index: int, hypervisor: str, *, primary: bool
    ) -> Linked | None:
        """Make a disk active, and on the primary node open and linked; None if not needed here."""
        if not primary and not disk.assembles_on_secondary:
            return None
        with _in_words(disk):
            own = self.driver_of(disk)
            device = await own.assemble(disk)
            if primary or disk.dev_type is disks.Template.PLAIN:
                await own.open(disk, exclusive=True)
            if not primary:
                return Linked(disk, None, None, device)
            return self._link(disk, device, instance, index, hypervisor)

    async def prepare(
        self, instance: str, wanted: Sequence[disks.Disk], hypervisor: str, *, first: int = 0
    ) -> list[Linked]:
        """Open and link an instance's active disks; raises if one is not active.

        ``first`` is the number of the first of them.
        """
        ready = []
        for index, disk in enumerate(wanted, first):
            device = await self._found(disk)
            with _in_words(disk):
                await self.driver_of(disk).open(disk, exclusive=True)
                ready.append(self._link(disk, device, instance, index, hypervisor))
        return ready

    async def ready(self, disk: disks.Disk, hypervisor: str) -> Linked:
        """Open an active disk without linking it; raises if it is not active."""
        device = await self._found(disk)
        with _in_words(disk):
            own = self.driver_of(disk)
            await own.open(disk, exclusive=True)
            uri = own.uri(disk, device, hypervisor) if disk.is_userspace else None
        return Linked(disk, None, uri, device)

    async def open(self, instance: str, wanted: Sequence[disks.Disk], *, exclusive: bool) -> None:
        """Open disks, and link them if an instance is named."""
        refused = []
        for index, disk in enumerate(wanted):
            try:
                with _in_words(disk):
                    own = self.driver_of(disk)
                    # A migration's target is told to open what it never assembled.
                    device = await own.assemble(disk)
                    await own.open(disk, exclusive=exclusive)
                    if instance and device.path is not None:
                        self.links.make(instance, index, device.path)
            except errors.Failure as error:
                refused.append(str(error))
        if refused:
            raise errors.Failure(f"disks cannot be opened: {'; '.join(refused)}")

    async def close(self, instance: str, wanted: Sequence[disks.Disk]) -> None:
        """Close disks, and remove the links to them if an instance is named."""
        refused = []
        for disk in wanted:
            try:
                with _in_words(disk):
                    await self.driver_of(disk).close(disk)
            except errors.Failure as error:
                refused.append(str(error))
        if refused:
            raise errors.Failure(f"disks cannot be closed: {'; '.join(refused)}")
        if instance:
            self.links.remove(instance, range(len(wanted)))

    async def shutdown(self, disk: disks.Disk) -> None:
        """Make a disk inactive."""
        with _in_words(disk):
            await self.driver_of(disk).shutdown(disk)

    async def remove(self, disk: disks.Disk) -> None:
        """Remove a disk; one that is busy is tried again for half a minute."""
        deadline = time.monotonic() + self._patience.total
        with _in_words(disk):
            while True:
                try:
                    await self.driver_of(disk).remove(disk)
                except programs.ToolFailed:
                    if time.monotonic() + self._patience.pause > deadline:
                        raise
                    await asyncio.sleep(self._patience.pause)
                else:
                    return

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Give a disk another logical id."""
        with _in_words(disk):
            await self.driver_of(disk).rename(disk, logical_id)

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Add ``amount`` MiB to a disk."""
        if not 0 <= amount <= disks.LARGEST - disk.size:
            raise errors.BadInput(f"{disk.describe()} cannot grow by {amount} MiB")
        with _in_words(disk):
            await self.driver_of(disk).grow(disk, amount, dry_run=dry_run, exclusive=exclusive)

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Return how a disk is reached, None if it is not there or not active."""
        with _in_words(disk):
            return await self.driver_of(disk).find(disk)

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Return a disk's real size, None if it is not there."""
        with _in_words(disk):
            return await self.driver_of(disk).dimensions(disk)

    async def snapshot(self, disk: disks.Disk, name: str | None, size: int | None) -> list[Any]:
        """Take a snapshot; return its logical id."""
        with _in_words(disk):
            return await self.driver_of(disk).snapshot(disk, name, size)

    async def set_info(self, disk: disks.Disk, text: str) -> None:
        """Attach words for people to a disk."""
        with _in_words(disk):
            await self.driver_of(disk).set_info(disk, text)

    async def wipe(self, disk: disks.Disk, offset: int, size: int) -> None:
        """Write ``size`` MiB of zeros onto a disk from ``offset`` MiB on."""
        if offset < 0 or size < 0 or offset + size > disk.size:
            raise errors.BadInput(
                f"{disk.describe()} has {disk.size} MiB: {size} MiB from {offset} MiB on are"
                " not to be wiped"
            )
        # A file would grow if it were written to beyond its end.
        real = await self.dimensions(disk)
        if real is not None and (offset + size) * imagefiles.MIB > real.size:
            raise errors.BadInput(
                f"{disk.describe()} has {real.size // imagefiles.MIB} MiB in truth: it is not"
                " wiped beyond that"
            )
        async with self.reach(disk, writable=True) as target:
            await self._copying.wipe(target, offset, size)

    async def image(self, disk: disks.Disk, image: str, size: int) -> None:
        """Put a raw image of at most ``size`` MiB on a disk, from a path or a URL."""
        if not 0 <= size <= disk.size:
            raise errors.BadInput(f"{disk.describe()} has no room for an image of {size} MiB")
        if "\0" in image or not (copying.is_url(image) or image.startswith("/")):
            raise errors.BadInput(f"{image[:200]!r} is neither an absolute path nor a URL")
        async with self.reach(disk, writable=True) as target:
            if not copying.is_url(image):
                await self._copying.image(image, size, target)
            elif target.format == "raw":
                await self._copying.download(image, size, target)
            else:
                device = await self._found(disk)
                async with self._images.scratch(str(device.path)) as scratch:
                    await self._copying.download(image, size, scratch)
                    await self._copying.convert(scratch, target)

    async def convert(self, source: disks.Disk, target: disks.Disk) -> None:
        """Copy a disk's content to another, which exists and is large enough."""
        if target.dev_type is disks.Template.BLOCK:
            raise errors.BadInput(
                f"{target.describe()} is the administrator's own: nothing is copied onto it"
            )
        async with (
            self.reach(source, writable=False) as origin,
            self.reach(target, writable=True) as destination,
        ):
            await self._copying.convert(origin, destination)

    @contextlib.asynccontextmanager
    async def reach(self, disk: disks.Disk, *, writable: bool) -> AsyncIterator[driver.Reached]:
        """Make a disk's content accessible to a tool for a while."""
        with _in_words(disk):
            async with self.driver_of(disk).reach(disk, writable=writable) as reached:
                yield reached

    async def _found(self, disk: disks.Disk) -> driver.Device:
        device = await self.find(disk)
        if device is None:
            raise errors.Unavailable(f"{disk.describe()} is not there or not active")
        return device

    def _link(
        self, disk: disks.Disk, device: driver.Device, instance: str, index: int, hypervisor: str
    ) -> Linked:
        # The URI first: it may be refused, and then there is no link to take back.
        uri = self.driver_of(disk).uri(disk, device, hypervisor) if disk.is_userspace else None
        self.links.path(instance, index)
        link = None if device.path is None else self.links.make(instance, index, device.path)
        return Linked(disk, link, uri, device)


@contextlib.contextmanager
def _in_words(disk: disks.Disk) -> Iterator[None]:
    """Make of what the system says about a disk something that an operator understands."""
    try:
        yield
    except OSError as error:
        said = f"{disk.describe()}: {error.strerror or error}"
        if error.errno in _FULL:
            raise errors.Exhausted(said) from error
        if error.errno in _FORBIDDEN:
            raise errors.Denied(said) from error
        raise errors.Unavailable(said) from error
