"""A daemon killed at any moment of making or filling a disk, and file systems that are full."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.model import disk as disks
from pyganeti.noded.storage import storage

_MIB = 1024 * 1024
_DOING = """
import asyncio, os, pathlib, sys
from pyganeti.base import paths
from pyganeti.model import disk as disks
from pyganeti.noded.storage import storage

root, what, place, fmt, preallocation = sys.argv[1:]
own = storage.Storage(paths.Paths(pathlib.Path(root), "node1"), os.environ)

def disk(name):
    params = {"format": fmt, "preallocation": preallocation}
    return disks.Disk(dev_type=disks.Template.FILE, logical_id=("loop", place + "/" + name),
                      size=192, params=params)

async def main():
    print("ready", flush=True)
    if what == "create":
        await own.create(disk("one"), primary=True, info="", exclusive=False)
    elif what == "convert":
        await own.convert(disk("source"), disk("one"))
    elif what == "wipe":
        await own.wipe(disk("one"), 0, 192)
    elif what == "rename":
        for _ in range(1000):
            await own.rename(disk("one"), ["loop", place + "/two"])
            await own.rename(disk("two"), ["loop", place + "/one"])

asyncio.run(main())
"""


class Bench:
    """A node's storage, and a process like a daemon that works on it until it is killed."""

    def __init__(self, root: Path, place: Path) -> None:
        self.root = root
        self.place = place
        layout = paths.Paths(root, "node1")
        layout.config_dir.mkdir(parents=True)
        (layout.config_dir / "file-storage-paths").write_text(f"{place}\n")
        self.storage = storage.Storage(layout, os.environ)

    def disk(self, name: str, **params: str) -> disks.Disk:
        return disks.Disk(
            dev_type=disks.Template.FILE,
            logical_id=("loop", str(self.place / name)),
            size=192,
            params=dict(params),
        )

    async def create(self, disk: disks.Disk) -> None:
        await self.storage.create(disk, primary=True, info="", exclusive=False)

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.place.iterdir())

    def killed(self, what: str, after: float, fmt: str = "raw", how: str = "off") -> None:
        """Have a process do something and kill it, and only it, after some seconds."""
        doing = subprocess.Popen(
            [sys.executable, "-c", _DOING, str(self.root), what, str(self.place), fmt, how],
            stdout=subprocess.PIPE,
        )
        assert doing.stdout is not None
        with doing, doing.stdout:
            assert doing.stdout.readline() == b"ready\n"
            time.sleep(after)  # the moment is what is under test
            doing.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self.tools() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not self.tools(), "a tool outlived its daemon"

    def tools(self) -> list[str]:
        """Return the tools that have a file in the place open."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                try:
                    held = [str(entry.readlink()) for entry in (process / "fd").iterdir()]
                except OSError:
                    continue
                if any(path.startswith(f"{self.place}/") for path in held):
                    found.append(process.name)
        return found


@pytest.fixture
def bench(short_dir: Path) -> Bench:
    place = short_dir / "disks"
    place.mkdir()
    return Bench(short_dir / "root", place)


@pytest.mark.parametrize(
    ("fmt", "how"), [("raw", "off"), ("raw", "full"), ("qcow2", "off"), ("qcow2", "full")]
)
async def test_a_killed_create_is_undone_or_whole(bench: Bench, fmt: str, how: str) -> None:
    disk = bench.disk("one", format=fmt, preallocation=how)
    chance = random.Random(f"{fmt}{how}")
    for turn in range(6):
        await asyncio.to_thread(bench.killed, "create", chance.random() * 0.15, fmt, how)
        left = bench.names()
        assert set(left) <= {"one", ".new-one"}
        if "one" in left:  # then it is all there
            assert await bench.storage.dimensions(disk) == (192 * _MIB, None)
        if turn % 2:
            await bench.storage.remove(disk)
        elif "one" not in left:
            await bench.create(disk)
            assert bench.names() == ["one"]
        await bench.storage.remove(disk)
        assert bench.names() == []


async def test_a_killed_copy_is_done_by_the_next(bench: Bench) -> None:
    source, target = bench.disk("source"), bench.disk("one")
    await bench.create(source)
    await bench.create(target)
    content = os.urandom(192 * _MIB)
    (bench.place / "source").write_bytes(content)
    chance = random.Random("copy")
    for _ in range(4):
        await asyncio.to_thread(bench.killed, "convert", chance.random() * 0.2)
        assert (bench.place / "one").stat().st_size == 192 * _MIB
    await bench.storage.convert(source, target)
    assert (bench.place / "one").read_bytes() == content
    await asyncio.to_thread(bench.killed, "wipe", 0.05)
    assert (bench.place / "one").stat().st_size == 192 * _MIB
    assert bench.names() == ["one", "source"]


async def test_a_killed_rename_loses_nothing_and_can_be_finished(bench: Bench) -> None:
    await bench.create(bench.disk("one"))
    chance = random.Random("rename")
    for _ in range(5):
        await asyncio.to_thread(bench.killed, "rename", chance.random() * 0.3)
        left = bench.names()
        assert left in (["one"], ["two"], ["one", "two"])
        if left != ["one"]:
            await bench.storage.rename(bench.disk("two"), ["loop", str(bench.place / "one")])
        assert bench.names() == ["one"]


@pytest.fixture
def small(short_dir: Path) -> Iterator[Bench]:
    """Make a place on a file system of 8 MiB."""
    place = short_dir / "disks"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", str(place)], check=True)
    try:
        yield Bench(short_dir / "root", place)
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.root
@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
@pytest.mark.parametrize("how", ["falloc", "full"])
async def test_a_full_file_system_is_said_and_nothing_is_left(
    small: Bench, fmt: str, how: str
) -> None:
    disk = small.disk("one", format=fmt, preallocation=how)
    with pytest.raises(errors.Exhausted):
        await small.create(disk)
    assert small.names() == []


@pytest.mark.root
async def test_a_file_system_that_fills_up_meanwhile_leaves_nothing(small: Bench) -> None:
    """Room that was there when we looked, and is not when it is taken."""
    (small.place / "other").write_bytes(bytes(5 * _MIB))
    disk = disks.Disk(
        dev_type=disks.Template.FILE,
        logical_id=("loop", str(small.place / "one")),
        size=2,
        params={"preallocation": "falloc"},
    )
    await small.create(disk)
    # fallocate asks for more than is free; the look beforehand is what would have said so.
    grown = small.disk("one")
    await small.storage.grow(grown, 100, dry_run=False, exclusive=False)
    with pytest.raises(errors.Exhausted, match="No space left"):
        await small.storage.wipe(
            disks.Disk(dev_type=grown.dev_type, logical_id=grown.logical_id, size=102), 0, 102
        )
    assert small.names() == ["one", "other"]


@pytest.mark.root
async def test_a_download_or_copy_onto_a_full_file_system_says_so(
    small: Bench, short_dir: Path
) -> None:
    (short_dir / "image").write_bytes(os.urandom(16 * _MIB))
    disk = small.disk("one", format="qcow2")
    await small.create(disk)
    with pytest.raises(errors.Exhausted, match="No space left"):
        await small.storage.image(disk, str(short_dir / "image"), 192)
    await small.storage.remove(disk)
    assert small.names() == []


@pytest.mark.root
async def test_a_read_only_file_system_is_said(small: Bench) -> None:
    disk = small.disk("one")
    await small.create(disk)
    await asyncio.to_thread(
        subprocess.run, ["mount", "-o", "remount,ro", str(small.place)], check=True
    )
    for refused in (
        small.create(small.disk("two")),
        small.storage.remove(disk),
        small.storage.grow(disk, 1, dry_run=False, exclusive=False),
    ):
        with pytest.raises(errors.Denied, match="Read-only"):
            await refused
    assert small.names() == ["one"]
