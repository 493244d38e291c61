"""Disks that are logical volumes of LVM.

A logical id is the volume group and the volume. Volumes stay active; assembling makes sure of it,
as they are not after some boots. LVM itself makes a volume whole or not at all.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Final

from pyganeti.base import errors, log
from pyganeti.model import disk as disks
from pyganeti.noded.storage import driver, lvm, programs

_LOG = log.get(__name__)
_MEANING: Final = "a volume group and a volume"
_POLICIES: Final = ("contiguous", "cling", "normal")
"""How an extension may lie, best first; later ones find room where earlier ones do not."""


class Plain(driver.Base):
    """The driver of logical volumes."""

    template: ClassVar = disks.Template.PLAIN

    def __init__(self, tools: programs.Programs) -> None:
        self._tools = tools

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Make the volume, striped as asked for where the free room allows that."""
        group, name = _names(disk)
        if exclusive and disk.spindles is None:
            raise errors.BadInput(
                f"{disk.describe()}: exclusive storage needs a number of spindles"
                " (gnt-cluster repair-disk-sizes finds it)"
            )
        where = lvm.place(
            await self._physicals(group),
            disk.size,
            int(disk.params.get("stripes", 1)),
            group=group,
            spindles=disk.spindles if exclusive else None,
        )
        for stripes in range(where.stripes, 0, -1):
            try:
                # -Wn: a file system's signature left on the extents is no reason to ask questions.
                await self._tools.run(
                    ["lvcreate", "-Wn", f"-L{disk.size}m", f"-n{name}", f"-i{stripes}",
                     group, *where.physical]
                )  # fmt: skip
            except programs.ToolFailed as error:
                if stripes == 1:
                    raise
                _LOG.info("a volume cannot have so many stripes", stripes=stripes, why=str(error))
            else:
                return

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Look whether the volume is there."""
        found = await self._volume(disk)
        if found is None:
            return None
        return driver.Device(_path(disk), found.major, found.minor, degraded=found.is_virtual)

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """Activate the volume."""
        await self._tools.run(["lvchange", "-ay", _path(disk)])
        device = await self.find(disk)
        if device is None:
            raise errors.Unavailable(f"{disk.describe()} is active, but lvs does not show it")
        return device

    async def remove(self, disk: disks.Disk) -> None:
        """Remove the volume if it is there."""
        group, name = _names(disk)
        if await self._volume(disk) is not None:
            await self._tools.run(["lvremove", "-f", f"{group}/{name}"])

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Give the volume another name in its group."""
        group, name = _names(disk)
        there, new = driver.words(logical_id, _MEANING, disk.describe())
        if there != group:
            raise errors.BadInput(f"{disk.describe()} cannot go to another volume group, {there}")
        await self._tools.run(["lvrename", group, name, lvm.check_name(new)])

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Make the volume larger, by whole stripes of extents."""
        group, _ = _names(disk)
        found = await self._volume(disk)
        if found is None:
            raise errors.Unavailable(f"{disk.describe()} does not exist")
        step = max(1, found.extent * found.stripes)
        wanted = -(-amount * 1024 // step) * step
        where: tuple[str, ...] = ()
        if exclusive:
            room = lvm.growth_room(await self._physicals(group), found.physical)
            if wanted > room * 1024:
                raise errors.Exhausted(
                    f"{disk.describe()} cannot grow by {wanted // 1024} MiB: its own physical"
                    f" volumes have {room:g} MiB left"
                )
            where = found.physical
        command = ["lvextend", "-L", f"+{wanted}k", *(["--test"] if dry_run else [])]
        for policy in _POLICIES:
            try:
                await self._tools.run([*command, "--alloc", policy, _path(disk), *where])
            except programs.ToolFailed:
                if policy == _POLICIES[-1]:
                    raise
            else:
                return

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Return the volume's size and on how many physical volumes it is."""
        found = await self._volume(disk)
        if found is None:
            return None
        return driver.Dimensions(found.size * 1024, len(found.physical))

    async def snapshot(self, disk: disks.Disk, name: str | None, size: int | None) -> list[Any]:
        """Take a snapshot, instead of an older one of the same name."""
        group, volume = _names(disk)
        if await self._volume(disk) is None:
            raise errors.Unavailable(f"{disk.describe()} does not exist")
        new = lvm.check_name(name or f"{volume}.snap")
        room = size or disk.size
        old = disks.Disk(dev_type=self.template, logical_id=(group, new))
        await self.remove(old)
        free = sum(one.free for one in await self._physicals(group))
        if free < room:
            raise errors.Exhausted(
                f"no room in volume group {group} for a snapshot: {room} MiB wanted,"
                f" {free:g} MiB free"
            )
        await self._tools.run(["lvcreate", f"-L{room}m", "-s", f"-n{new}", _path(disk)])
        return [group, new]

    async def set_info(self, disk: disks.Disk, text: str) -> None:
        """Make the text the volume's only tag."""
        path = _path(disk)
        old = await self._tools.run(lvm.query("lvs", ("lv_tags",), path))
        for tag in old.strip().split(","):
            if tag.strip():
                await self._tools.run(["lvchange", "--deltag", tag.strip(), path])
        if text:
            await self._tools.run(["lvchange", "--addtag", lvm.tag(text), path])

    @contextlib.asynccontextmanager
    async def reach(self, disk: disks.Disk, *, writable: bool) -> AsyncIterator[driver.Reached]:
        """Name the device."""
        async with driver.reach_device(self, disk, writable=writable) as reached:
            yield reached

    async def _volume(self, disk: disks.Disk) -> lvm.Volume | None:
        _names(disk)
        # All are asked for: a question for one that is not there is a failure like any other.
        text = await self._tools.run(lvm.query("lvs", lvm.VOLUME_COLUMNS, units="k"))
        return lvm.volumes(text).get(_path(disk))

    async def _physicals(self, group: str) -> list[lvm.Physical]:
        text = await self._tools.run(lvm.query("pvs", lvm.PHYSICAL_COLUMNS))
        return lvm.physicals(text, group)


def _names(disk: disks.Disk) -> tuple[str, str]:
    group, name = driver.pair(disk, _MEANING)
    return lvm.check_name(group), lvm.check_name(name)


def _path(disk: disks.Disk) -> str:
    group, name = _names(disk)
    return f"/dev/{group}/{name}"
