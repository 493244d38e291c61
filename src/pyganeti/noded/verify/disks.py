"""The physical volumes that disks are on, and what DRBD says, which is not there yet."""

from collections.abc import Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.noded.storage import programs, units

NO_DRBD: Final = "DRBD is not implemented by this node daemon yet"


async def physical(asked: units.Units, groups: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the physical volumes of some groups, or of all; None where LVM does not answer."""
    try:
        found = await asked.physical(groups)
    except (programs.ToolFailed, errors.Unavailable):
        return None
    # Their volumes are asked for elsewhere; the key is part of the shape.
    return [
        {
            "name": one.name,
            "vg_name": one.group,
            "size": one.size,
            "free": one.free,
            "attributes": one.attributes,
            "lv_list": [],
        }
        for one in found
    ]


async def shared_physical(
    asked: units.Units, groups: Sequence[str]
) -> list[tuple[str, list[str]]] | None:
    """Return physical volumes that more than one volume is on, with those; None likewise."""
    try:
        on = await asked.volumes_by_physical(groups)
    except (programs.ToolFailed, errors.Unavailable):
        return None
    return [(name, volumes) for name, volumes in on.items() if len(volumes) > 1]
