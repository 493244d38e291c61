"""Disks that are block devices which the administrator provides: adopted, never made or removed.

A logical id is the word "manual" and a path below /dev; where symlinks lead, it is still there.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import ClassVar, Final

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import devices, driver

_DEV: Final = PurePosixPath("/dev")
_MANUAL: Final = "manual"


class BlockDevice(driver.Base):
    """The driver of adopted block devices."""

    template: ClassVar = disks.Template.BLOCK

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """See that the device is there: it is only adopted."""
        self.refuse_exclusive(exclusive=exclusive)
        await self.assemble(disk)

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Look whether the device is there."""
        path = _path(disk)
        found = await asyncio.to_thread(_numbers, path)
        return None if found is None else driver.Device(path, *found)

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """See that the device is there."""
        device = await self.find(disk)
        if device is None:
            raise errors.Unavailable(f"{_path(disk)} does not exist")
        return device

    async def remove(self, disk: disks.Disk) -> None:
        """Do nothing: it is the administrator's."""

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Return the device's size."""
        if await self.find(disk) is None:
            return None
        return driver.Dimensions(await asyncio.to_thread(devices.size, _path(disk)), None)

    @contextlib.asynccontextmanager
    async def reach(self, disk: disks.Disk, *, writable: bool) -> AsyncIterator[driver.Reached]:
        """Name the device."""
        async with driver.reach_device(self, disk, writable=writable) as reached:
            yield reached


def _path(disk: disks.Disk) -> str:
    how, path = driver.pair(disk, "a word and a path below /dev")
    if how != _MANUAL:
        raise errors.BadInput(f"{disk.describe()}: its driver is {how}, not {_MANUAL}")
    if _DEV not in PurePosixPath(path).parents or ".." in path.split("/"):
        raise errors.BadInput(f"{disk.describe()} is not below /dev")
    return path


def _numbers(path: str) -> tuple[int, int] | None:
    real = os.path.realpath(path)
    if _DEV not in PurePosixPath(real).parents:
        raise errors.Denied(f"{path} leads out of /dev, to {real}")
    return devices.numbers(real)
