"""Disks that are files on a Gluster volume, mounted here or used by qemu itself.

A logical id is a word without meaning and a path below the mount point; server, port and volume
are parameters. The volume is mounted when it is first needed and stays mounted: other disks of
this node are on it. Without the mount nothing is read or written, or it would land beneath it.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from pyganeti.base import errors, files, paths, ssconf
from pyganeti.model import disk as disks
from pyganeti.noded.storage import driver, imagefiles, programs

_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+")
_VOLUME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_PORTS: Final = range(1, 65536)


@dataclass(frozen=True, slots=True)
class _Volume:
    host: str
    port: int
    name: str

    @property
    def source(self) -> str:
        return f"{self.host}:/{self.name}"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"gluster://{host}:{self.port}/{self.name}"


class Gluster(driver.Base):
    """The driver of disks on Gluster."""

    template: ClassVar = disks.Template.GLUSTER

    def __init__(
        self,
        images: imagefiles.ImageFiles,
        tools: programs.Programs,
        layout: paths.Paths,
    ) -> None:
        self._images = images
        self._tools = tools
        self._layout = layout

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Make the file, and the directories that it is in."""
        self.refuse_exclusive(exclusive=exclusive)
        path = await self._path(disk)
        await self._images.create(path, disk.size, imagefiles.shape(disk), make=True)

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Look whether the file is there."""
        path = await self._path(disk)
        if not await self._images.exists(path):
            return None
        return driver.Device(path, format=imagefiles.shape(disk).format)

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """Mount the volume, and look whether the file is there."""
        device = await self.find(disk)
        if device is None:
            raise errors.Unavailable(f"{disk.describe()} does not exist")
        return device

    async def remove(self, disk: disks.Disk) -> None:
        """Remove the file."""
        await self._images.remove(await self._path(disk))

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Make the file longer."""
        path = await self._path(disk)
        await self._images.grow(path, amount, imagefiles.shape(disk), dry_run=dry_run)

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Return the size of the disk in the file."""
        path = await self._path(disk)
        size = await self._images.size(path, imagefiles.shape(disk).format)
        return None if size is None else driver.Dimensions(size, None)

    @contextlib.asynccontextmanager
    async def reach(self, disk: disks.Disk, *, writable: bool) -> AsyncIterator[driver.Reached]:
        """Open the file."""
        path = await self._path(disk)
        shape = imagefiles.shape(disk)
        async with self._images.reach(path, shape.format, writable=writable) as reached:
            yield reached

    def uri(self, disk: disks.Disk, device: driver.Device, hypervisor: str) -> str:
        """Return what qemu's own Gluster client wants to know."""
        if hypervisor != "kvm":
            raise errors.BadInput(f"{hypervisor} cannot use {disk.describe()} by itself")
        return f"{_volume(disk.params).url}/{_inside(disk)}"

    async def _path(self, disk: disks.Disk) -> str:
        """Return the file's path, with the volume mounted."""
        volume = _volume(disk.params)
        inside = _inside(disk)
        text = await asyncio.to_thread(ssconf.read, self._layout, "gluster_storage_dir")
        point = Path((text or "").strip() or self._layout.run_dir / "gluster")
        if not await asyncio.to_thread(point.is_mount):
            await self._mount(volume, point)
        return f"{point}/{inside}"

    async def _mount(self, volume: _Volume, point: Path) -> None:
        await asyncio.to_thread(files.make_directories, point)
        await self._tools.run(
            ["mount", "-t", "glusterfs", "-o", f"server-port={volume.port}",
             volume.source, str(point)],
            directory=str(point),
        )  # fmt: skip
        # mount.glusterfs has been seen to fail with status 0.
        if not await asyncio.to_thread(point.is_mount):
            raise errors.Unavailable(
                f"{volume.source} was not mounted at {point}, though mount did not complain;"
                f" try 'gluster volume info {volume.name}' on {volume.host}"
            )


def _volume(params: dict[str, Any]) -> _Volume:
    host, port, name = (
        params.get("host", "127.0.0.1"), params.get("port", 24007), params.get("volume", "gv0")
    )  # fmt: skip
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise errors.BadInput(f"{host!r} is not a Gluster server's name or address")
    if not isinstance(name, str) or not _VOLUME.fullmatch(name):
        raise errors.BadInput(f"{name!r} is not the name of a Gluster volume")
    if not isinstance(port, int) or port not in _PORTS:
        raise errors.BadInput(f"{port!r} is not a port")
    return _Volume(host, port, name)


def _inside(disk: disks.Disk) -> str:
    _, path = driver.pair(disk, "a word and a path on the volume")
    if path.startswith("/") or ".." in path.split("/"):
        raise errors.BadInput(f"{disk.describe()}: {path!r} is not a path below a volume's root")
    return path
