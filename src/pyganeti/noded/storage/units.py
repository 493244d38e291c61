"""Storage units: the volume groups, physical volumes and directories that disks are made in.

Masters list them with the columns they want, mark a physical volume as not to be used, and repair
a volume group that lost a disk. Sizes are in MiB.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.noded.storage import imagefiles, lvm, programs

_FILES: Final = ("file", "sharedfile", "gluster")
_COLUMNS: Final = ("name", "size", "used", "free", "allocatable")
_REPAIR: Final = "fix-consistency"

_PHYSICAL: Final = ("pv_name", "pv_size", "pv_used", "pv_free", "pv_attr")
_GROUPS: Final = ("vg_name", "vg_size", "vg_free")


class Units:
    """The storage units of this node."""

    def __init__(self, tools: programs.Programs) -> None:
        self._tools = tools

    async def rows(
        self, kind: str, places: Sequence[str], name: str | None, columns: Sequence[str]
    ) -> list[list[Any]]:
        """Return a row for each unit of a kind, or for the named one.

        ``places`` are the directories that there are; volumes are asked of LVM.
        """
        unknown = [column for column in columns if column not in _COLUMNS]
        if unknown:
            raise errors.BadInput(f"storage units have no {', '.join(unknown)}")
        if kind in _FILES:
            rows = [
                await asyncio.to_thread(_directory, path, "used" in columns)
                for path in (places if name is None else [name])
            ]
        elif kind == "lvm-pv":
            rows = await self._ask("pvs", _PHYSICAL, _as_path(name), _physical)
        elif kind == "lvm-vg":
            rows = await self._ask("vgs", _GROUPS, _as_group(name), _group)
        else:
            raise errors.BadInput(f"there are no storage units of the kind {kind}")
        return [[row[column] for column in columns] for row in rows]

    async def modify(self, kind: str, name: str, changes: dict[str, Any]) -> None:
        """Change what can be changed: whether volumes may be put on a physical volume."""
        changeable = {"allocatable"} if kind == "lvm-pv" else set()
        refused = sorted(set(changes) - changeable)
        if refused:
            raise errors.BadInput(f"of {kind} units nobody changes {', '.join(refused)}")
        if "allocatable" in changes:
            flag = "y" if changes["allocatable"] else "n"
            await self._tools.run(["pvchange", "--allocatable", flag, _as_path(name) or ""])

    async def execute(self, kind: str, name: str, operation: str) -> None:
        """Repair a volume group: forget the physical volumes that are gone."""
        if kind != "lvm-vg" or operation != _REPAIR:
            raise errors.BadInput(f"{kind} units know no {operation}")
        group = _as_group(name) or ""
        try:
            await self._tools.run(["vgreduce", "--removemissing", group])
        except programs.ToolFailed:
            # It refuses where volumes lie on what is missing; that is what is to be repaired.
            await self._tools.run(["vgreduce", "--removemissing", "--force", group])
        await self._tools.run(lvm.query("vgs", ("vg_name",), group))

    async def groups(self) -> dict[str, int]:
        """Return the volume groups and their sizes; none where there is no LVM."""
        try:
            rows = await self._ask("vgs", _GROUPS, None, _group)
        except (programs.ToolFailed, errors.Unavailable):
            return {}
        return {row["name"]: row["size"] for row in rows}

    async def volumes(self, groups: Sequence[str]) -> dict[str, tuple[str, bool, bool]]:
        """Return the volumes of some groups, or of all: size, whether inactive, whether open."""
        columns = ("vg_name", "lv_name", "lv_size", "lv_attr")
        text = await self._tools.run(
            lvm.query("lvs", columns, *(lvm.check_name(group) for group in groups))
        )
        return {
            f"{group}/{name}": (size, attributes[4:5] == "-", attributes[5:6] == "o")
            for group, name, size, attributes in lvm.rows(text, len(columns))
            if not attributes.startswith("v")
        }

    async def segments(self) -> list[dict[str, str]]:
        """Return the volumes once for each physical volume that they are on."""
        columns = ("lv_name", "lv_size", "devices", "vg_name")
        text = await self._tools.run(lvm.query("lvs", columns))
        return [
            {"name": name, "size": size, "dev": device.split("(")[0], "vg": group}
            for name, size, devices, group in lvm.rows(text, len(columns))
            for device in devices.split(",")
        ]

    async def physical(self, groups: Sequence[str]) -> list[lvm.Physical]:
        """Return the physical volumes of some groups, or of all, allocatable or not."""
        text = await self._tools.run(lvm.query("pvs", lvm.PHYSICAL_COLUMNS))
        return [one for one in lvm.all_physicals(text) if not groups or one.group in groups]

    async def volumes_by_physical(self, groups: Sequence[str]) -> dict[str, list[str]]:
        """Return the volumes on each physical volume of some groups, or of all."""
        columns = ("pv_name", "vg_name", "lv_name")
        text = await self._tools.run(lvm.query("pvs", columns))
        on: dict[str, list[str]] = {}
        for name, group, volume in lvm.rows(text, len(columns)):
            if groups and group not in groups:
                continue
            volumes = on.setdefault(name, [])
            if volume and volume not in volumes:
                volumes.append(volume)
        return {name: sorted(volumes) for name, volumes in on.items()}

    async def _ask(
        self,
        tool: str,
        columns: Sequence[str],
        name: str | None,
        row: Callable[[list[str]], dict[str, Any]],
    ) -> list[dict[str, Any]]:
        names = () if name is None else (name,)
        text = await self._tools.run(lvm.query(tool, columns, *names))
        try:
            return [row(cells) for cells in lvm.rows(text, len(columns))]
        except ValueError as error:
            raise errors.Damaged(f"{tool} said something strange: {error}") from error


def space(path: str) -> tuple[int, int]:
    """Return size and free room of the file system that a path is on, in MiB."""
    found = os.statvfs(path)
    return (
        found.f_blocks * found.f_frsize // imagefiles.MIB,
        found.f_bavail * found.f_frsize // imagefiles.MIB,
    )


def _directory(path: str, used: bool) -> dict[str, Any]:  # noqa: FBT001 - for a thread
    size, free = space(path)
    taken = sum(
        os.lstat(Path(at, name)).st_size
        for at, _, names in (os.walk(path) if used else ())
        for name in names
    )
    return {
        "name": path,
        "size": size,
        "free": free,
        "used": taken // imagefiles.MIB,
        "allocatable": True,
    }


def _physical(cells: list[str]) -> dict[str, Any]:
    name, size, used, free, attributes = cells
    return {
        "name": name,
        "size": round(float(size)),
        "used": round(float(used)),
        "free": round(float(free)),
        "allocatable": attributes.startswith("a"),
    }


def _group(cells: list[str]) -> dict[str, Any]:
    name, size, free = cells
    return {
        "name": name,
        "size": round(float(size)),
        "used": round(float(size)) - round(float(free)),
        "free": round(float(free)),
        "allocatable": True,
    }


def _as_path(name: str | None) -> str | None:
    if name is not None and not name.startswith("/dev/"):
        raise errors.BadInput(f"{name!r} is not a physical volume")
    return name


def _as_group(name: str | None) -> str | None:
    return None if name is None else lvm.check_name(name)
