"""What LVM's tools are asked and what they answer, and where a new volume is put.

The questions name their columns and separator, so answers do not depend on a version's habits.
Sizes are MiB here, extents KiB. Lines that are none of an answer's are skipped with a warning:
LVM mixes its worries into what it is asked for.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors, log

_LOG = log.get(__name__)

SEPARATOR: Final = "|"
_NAME: Final = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]*")
_RESERVED: Final = frozenset({".", "..", "snapshot", "pvmove"})
_RESERVED_PARTS: Final = ("_mlog", "_mimage")
_SEGMENT: Final = re.compile(r"([^ ()]+)\(\d+\)")
_MARGIN: Final = 0.01
_RESERVE: Final = 0.02
"""Parts of a physical volume that differ between disks of one kind, and that are kept free."""

VOLUME_COLUMNS: Final = (
    "vg_name", "lv_name", "lv_attr", "lv_kernel_major", "lv_kernel_minor", "vg_extent_size",
    "stripes", "devices", "lv_size",
)  # fmt: skip
PHYSICAL_COLUMNS: Final = ("pv_name", "vg_name", "pv_free", "pv_attr", "pv_size")


@dataclass(frozen=True, slots=True)
class Volume:
    """A logical volume, active or not (then its numbers are -1). ``extent`` and ``size`` in KiB."""

    group: str
    name: str
    attributes: str
    major: int
    minor: int
    extent: int
    stripes: int
    physical: tuple[str, ...]
    size: int

    @property
    def is_virtual(self) -> bool:
        """Whether its storage is gone: reads fail."""
        return self.attributes.startswith("v")


@dataclass(frozen=True, slots=True)
class Physical:
    """A physical volume: a spindle, where storage is exclusive. Sizes in MiB."""

    name: str
    group: str
    free: float
    attributes: str
    size: float

    @property
    def is_allocatable(self) -> bool:
        """Whether volumes may be put on it."""
        return self.attributes.startswith("a")

    @property
    def is_empty(self) -> bool:
        """Whether no volume is on it; LVM's own data may be."""
        return self.size <= self.free + 1


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a new volume goes: physical volumes, and in how many stripes, at best."""

    physical: tuple[str, ...]
    stripes: int


def check_name(name: str) -> str:
    """Return the name of a volume or a group; raises BadInput if LVM would not have it."""
    if (
        not _NAME.fullmatch(name)
        or name in _RESERVED
        or any(part in name for part in _RESERVED_PARTS)
    ):
        raise errors.BadInput(f"{name!r} cannot be the name of a logical volume or volume group")
    return name


def query(tool: str, columns: Sequence[str], *names: str, units: str = "m") -> list[str]:
    """Return the command line that asks for columns."""
    return [
        tool, "--noheadings", "--nosuffix", f"--units={units}", f"--separator={SEPARATOR}",
        f"--options={','.join(columns)}", *names,
    ]  # fmt: skip


def rows(text: str, width: int) -> list[list[str]]:
    """Return the answer's rows of that many columns."""
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        row = [cell.strip() for cell in line.split(SEPARATOR)]
        if len(row) == width + 1 and not row[-1]:
            row.pop()
        if len(row) == width:
            found.append(row)
        else:
            _LOG.warning("LVM said something that is no row", line=line)
    return found


def volumes(text: str) -> dict[str, Volume]:
    """Return what `VOLUME_COLUMNS` were answered with (in KiB), by path under /dev."""
    found: dict[str, Volume] = {}
    for row in rows(text, len(VOLUME_COLUMNS)):
        group, name, attributes, major, minor, extent, stripes, segments, size = row
        physical = tuple(match[1] for match in _SEGMENT.finditer(segments))
        path = f"/dev/{group}/{name}"
        if path in found:  # another segment of the same volume
            physical = (*found[path].physical, *physical)
        try:
            found[path] = Volume(
                group, name, attributes, int(major), int(minor), int(float(extent)),
                int(stripes), tuple(dict.fromkeys(physical)), int(float(size)),
            )  # fmt: skip
        except ValueError as error:
            raise errors.Damaged(f"lvs said something strange about {path}: {error}") from error
    return found


def all_physicals(text: str) -> list[Physical]:
    """Return the physical volumes, from `PHYSICAL_COLUMNS` in MiB."""
    found = []
    for name, of, free, attributes, size in rows(text, len(PHYSICAL_COLUMNS)):
        try:
            found.append(Physical(name, of, float(free), attributes, float(size)))
        except ValueError as error:
            raise errors.Damaged(f"pvs said something strange about {name}: {error}") from error
    return found


def physicals(text: str, group: str) -> list[Physical]:
    """Return the allocatable physical volumes of a group, from `PHYSICAL_COLUMNS` in MiB."""
    return [one for one in all_physicals(text) if one.group == group and one.is_allocatable]


def place(
    found: Iterable[Physical], size: int, stripes: int, *, group: str, spindles: int | None = None
) -> Placement:
    """Decide where a volume of ``size`` MiB goes.

    With ``spindles`` it has that many empty physical volumes to itself. Raises Exhausted if there
    is no room, BadInput if the request makes no sense.
    """
    usable = sorted(found, key=lambda one: one.free, reverse=True)
    if not usable:
        raise errors.Unavailable(f"volume group {group} has no usable physical volumes")
    if any(":" in one.name for one in usable):
        raise errors.BadInput(
            f"a physical volume of {group} has a colon in its name; leave it out in lvm.conf"
        )
    if spindles is None:
        free = sum(one.free for one in usable)
        if free < size:
            raise errors.Exhausted(
                f"no room in volume group {group}: {size} MiB wanted, {free:g} MiB free"
            )
        names = tuple(one.name for one in usable)
        return Placement(names, max(1, min(len(names), stripes)))
    needed = math.ceil(size / spindle_size(usable))
    if spindles < needed:
        raise errors.BadInput(
            f"{spindles} spindles are not enough for {size} MiB: it takes {needed}"
        )
    empty = [one.name for one in usable if one.is_empty][:spindles]
    if len(empty) < spindles:
        raise errors.Exhausted(
            f"not enough empty physical volumes in {group}: {spindles} wanted, {len(empty)} there"
        )
    return Placement(tuple(empty), len(empty))


def spindle_size(found: Sequence[Physical]) -> float:
    """Return what counts as the size of every one, in MiB: the smallest's, less the reserve."""
    return max(1.0, min(one.size for one in found) // (1 + _MARGIN + _RESERVE))


def growth_room(found: Sequence[Physical], of: Sequence[str]) -> float:
    """Return by how many MiB a volume can grow on the spindles that it has to itself."""
    size = spindle_size(found)
    return sum(one.free - (one.size - size) for one in found if one.name in of)


def tag(text: str) -> str:
    """Return the text as LVM, and providers who took over its habits, can keep it."""
    return re.sub(r"[^A-Za-z0-9_+.-]", "_", re.sub(r"^[^A-Za-z0-9_+.]", "_", text))[:128]
