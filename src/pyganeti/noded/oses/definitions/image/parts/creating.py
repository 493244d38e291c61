"""Puts an image on the first disk, and its seed where the guest finds it.

Everything that can be wrong is looked at before anything is written: the sum, the sizes, the
partition table, the seed. Then the disk's first MiB is wiped, and what belongs there is written
last: a disk that was not finished, whatever stopped it, does not boot.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import disks, parameters, seed, tables, tools
from .parameters import Wrong

_QCOW2: Final = b"QFI\xfb"
_CHUNK: Final = disks.MIB


@dataclass(frozen=True)
class Image:
    """A cloud image that has been looked at. ``name`` is what tools open, with ``fd``."""

    path: str
    fd: int
    form: str
    size: int

    @property
    def name(self) -> str:
        """What tools open while they have the descriptor."""
        return f"/proc/self/fd/{self.fd}"


@dataclass(frozen=True)
class Plan:
    """What is to be written: the disk's ends, and the seed, with where it goes."""

    head: bytes
    tail: bytes
    tail_at: int
    seed: bytes
    seed_disk: disks.Disk | None
    seed_at: int


def place_of_seed(wanted: parameters.Wanted, *, has_disk: bool, has_table: bool) -> str:
    """Return where the seed goes: partition, disk, or none. Raises Wrong if it can go nowhere."""
    places = {"disk": has_disk, "partition": has_table}
    reasons = {
        "disk": f"no disk of the instance is named {disks.SEED_NAME}",
        "partition": "the image has no partition table",
    }
    if wanted.seed in places:
        if not places[wanted.seed]:
            raise Wrong(f"there is no place for the seed: {reasons[wanted.seed]}")
        return wanted.seed
    if wanted.seed == "auto":
        for place, there in places.items():
            if there:
                return place
        if wanted.needs_seed:
            raise Wrong(
                f"there is no place for the seed: {reasons['partition']}, and {reasons['disk']}"
            )
    return "none"


def create(environ: Mapping[str, str]) -> None:
    """Carry it out; raises Wrong."""
    wanted = parameters.parse(environ)
    if not wanted.image:
        raise Wrong("no image is named: the parameter image is its path")
    target = disks.of_instance(environ)
    with disks.opened(wanted.image) as fd:
        before = _mark(fd)
        image = _look(wanted, fd)
        size = target.size()
        plan = _plan(wanted, environ, image, size)
        print(f"writing {image.path} ({image.form}) to {target.name}", flush=True)  # noqa: T201
        try:
            _write(target, image, plan, size)
            _check_same(image, before)
            target.write(0, plan.head)
        except BaseException:
            print("the disk was left unbootable", flush=True)  # noqa: T201
            raise
    print("done", flush=True)  # noqa: T201


def _look(wanted: parameters.Wanted, fd: int) -> Image:
    """Check the sum, and find out what is in the image; raises Wrong."""
    _check_sum(wanted, fd)
    form = wanted.format
    if form == "auto":
        form = "qcow2" if os.pread(fd, len(_QCOW2), 0) == _QCOW2 else "raw"
    image = Image(wanted.image, fd, form, 0)
    found = json.loads(
        tools.run(["qemu-img", "info", "--output=json", "-f", form, image.name], descriptors=[fd])
    )
    specific = found.get("format-specific", {}).get("data", {})
    if found.get("backing-filename") or specific.get("data-file"):
        raise Wrong(f"{wanted.image} is not whole: other files belong to it")
    if found.get("encrypted"):
        raise Wrong(f"{wanted.image} is encrypted")
    return Image(wanted.image, fd, form, int(found["virtual-size"]))


def _check_sum(wanted: parameters.Wanted, fd: int) -> None:
    if not wanted.sha256:
        raise Wrong(
            "no sum is given: the parameter sha256 is the image's, or"
            f" {parameters.UNCHECKED} if it does not matter which image that is"
        )
    if wanted.sha256 == parameters.UNCHECKED:
        return
    summed, at = hashlib.sha256(), 0
    while piece := os.pread(fd, _CHUNK, at):
        summed.update(piece)
        at += len(piece)
    if summed.hexdigest() != wanted.sha256.lower():
        raise Wrong(
            f"{wanted.image} is not the image that it should be: its SHA-256 sum is"
            f" {summed.hexdigest()}, not {wanted.sha256.lower()}; nothing was written"
        )


def _plan(wanted: parameters.Wanted, environ: Mapping[str, str], image: Image, size: int) -> Plan:
    """Decide what will be written where; raises Wrong while nothing is."""
    if image.size > size:
        raise Wrong(
            f"{image.path} has {_mib(image.size)} MiB, and the disk {_mib(size)} MiB only;"
            " nothing was written"
        )
    head = disks.read(image.name, image.form, 0, min(tables.HEAD, image.size), (image.fd,))
    table = tables.look(head, image.size)
    own = disks.seed_of_instance(environ)
    place = place_of_seed(wanted, has_disk=own is not None, has_table=table is not None)
    made = b"" if place == "none" else seed.make(seed.contents(wanted, environ))
    if place == "partition" and table is not None:
        at = size - tables.TAIL - seed.LIMIT
        if image.size > at:
            raise Wrong(
                f"{image.path} has {_mib(image.size)} MiB, its seed needs"
                f" {_mib(tables.TAIL + seed.LIMIT)} MiB, and the disk has {_mib(size)} MiB only;"
                " nothing was written"
            )
        ends = tables.with_seed(head, table, size, at, seed.LIMIT)
        made = made.ljust(seed.LIMIT, b"\0")
        return Plan(ends.head, ends.tail, size - tables.TAIL, made, None, at)
    if place == "disk" and own is not None and own.size() < len(made):
        raise Wrong(f"the disk named {disks.SEED_NAME} is too small; nothing was written")
    # A table's second copy from what was here before would mislead.
    tail_at = max(image.size, size - tables.TAIL)
    return Plan(head, bytes(size - tail_at), tail_at, made, own if made else None, 0)


def _write(target: disks.Disk, image: Image, plan: Plan, size: int) -> None:
    """Write everything but what makes it boot."""
    target.zero(0, min(tables.HEAD, size))
    with _masked(image, len(plan.head)) as masked:
        target.fill(masked, "qcow2", (image.fd,))
    if plan.seed:
        (plan.seed_disk or target).write(plan.seed_at, plan.seed)
    if plan.tail:
        target.write(plan.tail_at, plan.tail)


@contextlib.contextmanager
def _masked(image: Image, head: int) -> Iterator[str]:
    """Lend the image with zeros where its head is."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        path = str(Path(folder) / "masked.qcow2")
        tools.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", image.form, "-b", image.name, path,
             str(image.size)],
            descriptors=[image.fd],
        )  # fmt: skip
        tools.run(
            ["qemu-io", "-f", "qcow2", "-c", f"write -z 0 {head}", path], descriptors=[image.fd]
        )
        yield path


def _check_same(image: Image, before: tuple[int, int, int]) -> None:
    if _mark(image.fd) != before:
        raise Wrong(f"{image.path} was changed meanwhile")


def _mark(fd: int) -> tuple[int, int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _mib(count: int) -> int:
    return -(-count // disks.MIB)
