"""How much room there is for new disks, as masters ask for it with a node's other figures."""

import asyncio
from typing import Any

from pyganeti.base import errors
from pyganeti.noded.storage import lvm, programs, units


class Space:
    """The room on this node."""

    def __init__(self, tools: programs.Programs) -> None:
        self._tools = tools

    async def of(self, kind: str, key: str, *, exclusive: bool = False) -> dict[str, Any]:
        """Return size and free room of a volume group or directory, in MiB or in spindles.

        A volume group that is not there has neither (null). Raises BadInput for kinds of storage
        that tell no one how much there is of them.
        """
        if kind == "file":
            size: float | None
            free: float | None
            try:
                size, free = await asyncio.to_thread(units.space, key)
            except OSError as error:
                raise errors.Unavailable(f"{key}: {error.strerror}") from error
            except ValueError as error:  # a zero byte
                raise errors.BadInput(f"{key!r} is not a directory: {error}") from error
        elif kind == "lvm-vg":
            size, free = await self._group(key, exclusive=exclusive)
        elif kind == "lvm-pv":
            found = await self._physicals(key) if exclusive else []
            size, free = len(found), sum(one.is_empty for one in found)
        else:
            raise errors.BadInput(f"{kind} storage does not say how much room it has")
        return {"type": kind, "name": key, "storage_free": free, "storage_size": size}

    async def _group(self, name: str, *, exclusive: bool) -> tuple[int | None, int | None]:
        try:
            text = await self._tools.run(
                lvm.query("vgs", ("vg_name", "vg_size", "vg_free", "vg_attr"))
            )
        except (programs.ToolFailed, errors.Unavailable):
            return None, None
        for group, size, free, attributes in lvm.rows(text, 4):
            if group == name and not attributes.startswith("r"):
                room = round(float(free))
                if exclusive:
                    found = await self._physicals(name)
                    empty = sum(one.is_empty for one in found)
                    room = round(lvm.spindle_size(found) * empty) if found else 0
                return round(float(size)), room
        return None, None

    async def _physicals(self, group: str) -> list[lvm.Physical]:
        try:
            text = await self._tools.run(lvm.query("pvs", lvm.PHYSICAL_COLUMNS))
        except (programs.ToolFailed, errors.Unavailable):
            return []
        return lvm.physicals(text, group)
