"""Disks that are images in a Ceph pool, mapped to devices by the kernel or used by qemu itself.

A logical id is a word without meaning and the image's name; the pool is a parameter. An image that
is not mapped is not active, but it exists: its size is asked of Ceph then, and removing it needs
no mapping. Nothing is mapped by merely looking.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import devices, driver, programs

_DEFAULT_POOL: Final = "rbd"


class Rbd(driver.Base):
    """The driver of Ceph's images."""

    template: ClassVar = disks.Template.RBD

    def __init__(self, tools: programs.Programs) -> None:
        self._tools = tools

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Make the image."""
        self.refuse_exclusive(exclusive=exclusive)
        pool, name = _names(disk)
        await self._tools.run(["rbd", "create", "-p", pool, name, "--size", str(disk.size)])

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Look whether the image is mapped here."""
        path = await self._mapped(disk)
        if path is None:
            return None
        found = await asyncio.to_thread(devices.numbers, path)
        return None if found is None else driver.Device(path, *found)

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """Map the image if it is not mapped yet."""
        pool, name = _names(disk)
        device = await self.find(disk)
        if device is None:
            await self._tools.run(["rbd", "map", "-p", pool, name])
            device = await self.find(disk)
        if device is None:
            raise errors.Unavailable(f"{disk.describe()} was mapped, but rbd does not show it")
        return device

    async def shutdown(self, disk: disks.Disk) -> None:
        """Unmap the image if it is mapped."""
        path = await self._mapped(disk)
        if path is not None:
            await self._tools.run(["rbd", "unmap", path])

    async def remove(self, disk: disks.Disk) -> None:
        """Unmap and remove the image if it is there."""
        pool, name = _names(disk)
        await self.shutdown(disk)
        if await self._is_there(pool, name):
            await self._tools.run(["rbd", "rm", "-p", pool, name])

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Do nothing: masters rename the instance, and keep the image's name."""

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Make the image larger; images are thin, so there is nothing to try out."""
        if dry_run:
            return
        pool, name = _names(disk)
        await self._tools.run(
            ["rbd", "resize", "-p", pool, name, "--size", str(disk.size + amount)]
        )

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Return the image's size, mapped or not."""
        pool, name = _names(disk)
        if not await self._is_there(pool, name):
            return None
        said = await self._tools.run(["rbd", "info", "-p", pool, name, "--format", "json"])
        return driver.Dimensions(_decode(said, _Info).size, None)

    @contextlib.asynccontextmanager
    async def reach(self, disk: disks.Disk, *, writable: bool) -> AsyncIterator[driver.Reached]:
        """Name the device, mapped for as long as it takes if it was not."""
        ours = await self._mapped(disk) is None
        device = await self.assemble(disk)
        try:
            yield driver.Reached(device.path or self.uri(disk, device, "kvm"))
        finally:
            if ours:
                await self.shutdown(disk)

    def uri(self, disk: disks.Disk, device: driver.Device, hypervisor: str) -> str:
        """Return what qemu's own Ceph client wants to know."""
        if hypervisor != "kvm":
            raise errors.BadInput(f"{hypervisor} cannot use {disk.describe()} by itself")
        pool, name = _names(disk)
        return f"rbd:{pool}/{name}"

    async def _mapped(self, disk: disks.Disk) -> str | None:
        pool, name = _names(disk)
        said = await self._tools.run(["rbd", "showmapped", "--format", "json"])
        shown = _decode(said, dict[str, _Mapped] | list[_Mapped])
        every = shown.values() if isinstance(shown, dict) else shown
        found = [one.device for one in every if (one.pool, one.name) == (pool, name)]
        if len(found) > 1:
            raise errors.Damaged(f"{disk.describe()} is mapped more than once: {', '.join(found)}")
        return found[0] if found else None

    async def _is_there(self, pool: str, name: str) -> bool:
        said = await self._tools.run(["rbd", "ls", "-p", pool, "--format", "json"])
        return name in _decode(said, list[str])


class _Mapped(msgspec.Struct):
    pool: str
    name: str
    device: str


class _Info(msgspec.Struct):
    size: int


def _decode(said: str, kind: Any) -> Any:  # noqa: ANN401 - what a decoder is told and returns
    try:
        return msgspec.json.decode(said.strip() or "[]", type=kind)
    except msgspec.DecodeError as error:
        raise errors.Damaged(f"rbd said something strange: {error}") from error


def _names(disk: disks.Disk) -> tuple[str, str]:
    _, name = driver.pair(disk, "a word and an image's name")
    pool = disk.params.get("pool", _DEFAULT_POOL)
    if not isinstance(pool, str) or not pool:
        raise errors.BadInput(f"{disk.describe()}: its pool is {pool!r}")
    for word in (pool, name):
        if word.startswith("-") or any(sign in word for sign in "/@\n") or word in {".", ".."}:
            raise errors.BadInput(f"{word!r} is not the name of a Ceph pool or image")
    return pool, name
