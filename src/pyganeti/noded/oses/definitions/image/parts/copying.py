"""A disk's data to standard output, or from standard input: what Ganeti moves instances by.

The data is what the guest sees, whatever holds the disk. Where that is no plain file or device, a
file of the disk's size (a sparse one) is in between, below ``TMPDIR``.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from . import disks, tools
from .parameters import Wrong

_CHUNK: Final = disks.MIB


def export(environ: Mapping[str, str]) -> None:
    """Write the disk's data to standard output; raises Wrong or OSError."""
    disk = disks.to_export(environ)
    _tell_size(environ, disk.size())
    if disk.is_plain:
        with Path(disk.name).open("rb") as source:
            _copy(source, sys.stdout.buffer)
        return
    with tempfile.NamedTemporaryFile(prefix="image-") as between:
        tools.run(["qemu-img", "convert", "-f", disk.form, "-O", "raw", disk.name, between.name])
        with Path(between.name).open("rb") as source:
            _copy(source, sys.stdout.buffer)


def import_(environ: Mapping[str, str]) -> None:
    """Write standard input to the disk, which keeps its size; raises Wrong or OSError."""
    disk = disks.to_import(environ)
    size = disk.size()
    if disk.is_plain:
        with Path(disk.name).open("r+b") as target:
            _fill(target, size)
        return
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        between = Path(folder) / "between"
        with between.open("wb") as target:
            _fill(target, size)
            target.truncate(size)
        disk.fill(str(between), "raw")


def _fill(target: BinaryIO, size: int) -> None:
    written = _copy(sys.stdin.buffer, target, size)
    target.flush()
    os.fsync(target.fileno())
    print(f"{written} bytes were imported", file=sys.stderr, flush=True)  # noqa: T201


def _copy(source: BinaryIO, target: BinaryIO, limit: int | None = None) -> int:
    done = 0
    while piece := source.read(_CHUNK):
        done += len(piece)
        if limit is not None and done > limit:
            raise Wrong(f"there is more data than the disk has room for ({limit} bytes)")
        target.write(piece)
    target.flush()
    return done


def _tell_size(environ: Mapping[str, str], size: int) -> None:
    fd = environ.get("EXP_SIZE_FD", "")
    if fd.isdigit():
        os.write(int(fd), str(size).encode())
        os.close(int(fd))
