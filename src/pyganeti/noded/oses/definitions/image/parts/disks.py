"""The instance's disks, whatever holds them: a device, a file, qcow2, or what only qemu reaches.

All goes through qemu's tools, so that one way serves all. Offsets and lengths are in bytes, and
multiples of a sector.
"""

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from . import tools
from .parameters import Wrong

MIB: Final = 1024 * 1024
SECTOR: Final = 512
SEED_NAME: Final = "cidata"
"""How a disk is called that is there for the seed."""


class Disk:
    """One disk: ``name`` is a path or a URI, ``form`` the format of its content."""

    def __init__(self, name: str, form: str = "raw") -> None:
        self.name = name
        self.form = form

    @property
    def is_plain(self) -> bool:
        """Whether its content is what is in a file or a device, byte by byte."""
        return self.form == "raw" and self.name.startswith("/")

    def size(self) -> int:
        """Return how many bytes it has."""
        said = tools.run(["qemu-img", "info", "--output=json", "-U", "-f", self.form, self.name])
        return int(json.loads(said)["virtual-size"])

    def read(self, at: int, count: int) -> bytes:
        """Return a part of it; it may end before."""
        return read(self.name, self.form, at, count)

    def write(self, at: int, data: bytes) -> None:
        """Write a part of it; when this returns, it is safe."""
        padded = data + bytes(-len(data) % SECTOR)
        with tempfile.NamedTemporaryFile(prefix="image-") as file:
            file.write(padded)
            file.flush()
            self._io(f"write -s {file.name} {at} {len(padded)}")

    def zero(self, at: int, count: int) -> None:
        """Have a part of it be zeros."""
        if count > 0:
            self._io(f"write -z {at} {count}")

    def fill(self, name: str, form: str, descriptors: tuple[int, ...] = ()) -> None:
        """Write an image's whole content to its beginning."""
        tools.run(
            ["qemu-img", "convert", "-n", "-t", "writeback", "-f", form, "-O", self.form,
             name, self.name],
            descriptors=descriptors,
        )  # fmt: skip

    def _io(self, command: str) -> None:
        tools.run(["qemu-io", "-f", self.form, "-c", command, "-c", "flush", self.name])


def read(name: str, form: str, at: int, count: int, descriptors: tuple[int, ...] = ()) -> bytes:
    """Return a part of an image's content."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        part = Path(folder) / "part"
        tools.run(
            ["qemu-img", "dd", "-U", "-f", form, "-O", "raw", f"bs={SECTOR}",
             f"skip={at // SECTOR}", f"count={(at + count) // SECTOR}", f"if={name}", f"of={part}"],
            descriptors=descriptors,
        )  # fmt: skip
        return part.read_bytes()


def of_instance(environ: Mapping[str, str], index: int = 0) -> Disk:
    """Return one of the instance's disks; raises Wrong if there is none of that number."""
    return _told(environ, f"DISK_{index}_", f"the instance has no disk {index}")


def seed_of_instance(environ: Mapping[str, str]) -> Disk | None:
    """Return the disk that is there for the seed, by its name."""
    for index in range(int(environ.get("DISK_COUNT", "0"))):
        if environ.get(f"DISK_{index}_NAME") == SEED_NAME:
            return of_instance(environ, index)
    return None


def to_import(environ: Mapping[str, str]) -> Disk:
    """Return the disk that data is to be written to."""
    return _told(environ, "IMPORT_DISK_", "there is no disk to import into", "IMPORT_DEVICE")


def to_export(environ: Mapping[str, str]) -> Disk:
    """Return the disk whose data is wanted."""
    return _told(environ, "EXPORT_DISK_", "there is no disk to export", "EXPORT_DEVICE")


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Open an image, whose content stays the same although its name may become another's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Wrong(f"the image {path}: {error.strerror}") from error
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            raise Wrong(f"the image {path} is neither a file nor a block device")
        yield fd
    finally:
        os.close(fd)


def _told(environ: Mapping[str, str], prefix: str, missing: str, older: str = "") -> Disk:
    name = environ.get(f"{prefix}PATH") or environ.get(f"{prefix}URI") or environ.get(older)
    if not name:
        raise Wrong(missing)
    return Disk(name, environ.get(f"{prefix}FORMAT", "raw"))
