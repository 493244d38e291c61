"""Disks that are files on this node: raw, or qcow2 where the disk's parameters ask for it.

A logical id is the driver's name in Ganeti (loop, blktap: how Xen would reach it, no matter here)
and an absolute path. Ganeti knows no formats; ``format`` and ``preallocation`` among a disk's
parameters are ours, and without them a file is raw and sparse, as Ganeti's are.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import driver, imagefiles

_MEANING: Final = "a driver and a path"


class File(driver.Base):
    """The driver of disks that are files."""

    template: ClassVar = disks.Template.FILE

    def __init__(self, images: imagefiles.ImageFiles) -> None:
        self._images = images

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Make the file; its directory has to be there."""
        self.refuse_exclusive(exclusive=exclusive)
        await self._images.create(_path(disk), disk.size, imagefiles.shape(disk))

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Look whether the file is there."""
        path = _path(disk)
        if not await self._images.exists(path):
            return None
        return driver.Device(path, format=imagefiles.shape(disk).format)

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """Look whether the file is there; raises Unavailable if not."""
        device = await self.find(disk)
        if device is None:
            raise errors.Unavailable(f"{_path(disk)} does not exist")
        return device

    async def remove(self, disk: disks.Disk) -> None:
        """Remove the file."""
        await self._images.remove(_path(disk))

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Give the file another path."""
        _, new = driver.words(logical_id, _MEANING, disk.describe())
        await self._images.rename(_path(disk), new)

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Make the file longer."""
        await self._images.grow(_path(disk), amount, imagefiles.shape(disk), dry_run=dry_run)

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Return the size of the disk in the file."""
        size = await self._images.size(_path(disk), imagefiles.shape(disk).format)
        return None if size is None else driver.Dimensions(size, None)

    def reach(
        self, disk: disks.Disk, *, writable: bool
    ) -> contextlib.AbstractAsyncContextManager[driver.Reached]:
        """Open the file."""
        return self._images.reach(_path(disk), imagefiles.shape(disk).format, writable=writable)


def _path(disk: disks.Disk) -> str:
    if disk.children:
        raise errors.BadInput(f"{disk.describe()}: a file has no children")
    return driver.pair(disk, _MEANING)[1]
