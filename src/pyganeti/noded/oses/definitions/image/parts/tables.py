"""Partition tables: whether an image has one, and the same one with a partition for the seed.

A table is looked at and changed on a sketch of the disk: a sparse file of its size that has the
first MiB, where a table is. `sfdisk` does the work; what it changed at either end is then written
to the disk itself. Boot code, identities, names and flags stay as they are.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import tools
from .disks import MIB, SECTOR
from .parameters import Wrong

HEAD: Final = MIB
"""Bytes at a disk's beginning that hold the table, and what boots."""

TAIL: Final = MIB
"""Bytes at a disk's end that are kept for the table's second copy."""

NAME: Final = "cidata"
_TYPES: Final = {"gpt": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "dos": "83"}


@dataclass(frozen=True)
class Part:
    """A partition, in bytes, with its name if its table has names."""

    start: int
    size: int
    name: str


@dataclass(frozen=True)
class Table:
    """A partition table as far as it matters here."""

    label: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Ends:
    """What is to be at a disk's beginning and at its end."""

    head: bytes
    tail: bytes


def look(head: bytes, size: int) -> Table | None:
    """Return the table that a disk of that size has, by its first MiB; None if there is none.

    A boot sector whose code stands where a table would be is no table: a real one has partitions,
    and they are where they can be.
    """
    with _sketched(head, size) as sketch:
        try:
            found: dict[str, Any] = json.loads(tools.run(["sfdisk", "--json", str(sketch)]))
        except (Wrong, ValueError):
            return None
    table = found["partitiontable"]
    parts = tuple(
        Part(int(p["start"]) * SECTOR, int(p["size"]) * SECTOR, p.get("name", ""))
        for p in table.get("partitions", ())
    )
    sane = all(p.start > 0 and p.size > 0 and p.start + p.size <= size for p in parts)
    if not parts or not sane or table["label"] not in _TYPES:
        return None
    return Table(table["label"], parts)


def with_seed(head: bytes, table: Table, size: int, start: int, length: int) -> Ends:
    """Return the ends of a disk with one more partition; raises Wrong if there is no place for it.

    ``size`` is the disk's, where the image's own table may think of a smaller one.
    """
    if any(p.start + p.size > start for p in table.parts):
        raise Wrong("the image's partitions leave no room for the seed at the disk's end")
    with _sketched(head, size) as sketch:
        dump = tools.run(["sfdisk", "--dump", str(sketch)])
        # Where the old table has its end is not where the new one has.
        kept = [line for line in dump.splitlines() if not line.startswith("last-lba:")]
        new = f"start={start // SECTOR}, size={length // SECTOR}, type={_TYPES[table.label]}"
        if table.label == "gpt":
            new += f', name="{NAME}"'
        try:
            tools.run(
                ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe=never",
                 "--wipe-partitions=never", str(sketch)],
                stdin="\n".join([*kept, new, ""]),
            )  # fmt: skip
        except Wrong as error:
            raise Wrong(
                f"the image's partition table has no place for the seed: {error}"
            ) from error
        with sketch.open("rb") as file:
            changed = file.read(len(head))
            file.seek(size - TAIL)
            return Ends(changed, file.read(TAIL))


@contextlib.contextmanager
def _sketched(head: bytes, size: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        sketch = Path(folder) / "sketch"
        with sketch.open("wb") as file:
            file.write(head)
            file.truncate(size)
        yield sketch
