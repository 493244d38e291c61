"""The file is old or new, never half; whoever else writes it is noticed, and never overwritten."""

import asyncio
import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import configurations
from pyganeti.base import errors, paths
from pyganeti.masterd.config import filestore, generations, store
from pyganeti.model.config import datafile, entries

_KEY = "nodes/" + configurations.uuid(3, 1)


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    made = paths.Paths(tmp_path, "node1.example.com")
    filestore.create(made, entries.from_snapshot(configurations.of(4)))
    return made


def _head(serial_no: int) -> dict[str, bytes]:
    head = {"version": 3000000, "serial_no": serial_no, "ctime": 0, "mtime": 0}
    return {entries.HEAD: json.dumps(head).encode()}


def _serial(layout: paths.Paths) -> int:
    found: int = json.loads(layout.config_data.read_bytes())["serial_no"]
    return found


async def test_what_is_swapped_in_is_there_for_everybody(layout: paths.Paths) -> None:
    kept = filestore.FileStore(layout)
    held, version = await kept.read()
    assert held == entries.from_snapshot(configurations.of(4))
    version = await kept.swap(version, {**_head(2), _KEY: b'{"new":1}'})
    whole = json.loads(layout.config_data.read_bytes())
    assert whole["serial_no"] == 2
    assert whole["nodes"][configurations.uuid(3, 1)] == {"new": 1}
    assert (await kept.copy()).data == layout.config_data.read_bytes()
    await kept.swap(version, {**_head(3), _KEY: None})
    assert configurations.uuid(3, 1) not in json.loads(layout.config_data.read_bytes())["nodes"]
    again, _ = await filestore.FileStore(layout).read()
    assert _KEY not in again


async def test_each_earlier_state_is_kept_and_can_be_gone_back_to(layout: paths.Paths) -> None:
    kept = filestore.FileStore(layout)
    async with kept.lease():
        _, version = await kept.read()
        for serial_no in (2, 3, 4):
            version = await kept.swap(version, _head(serial_no))
        found = generations.found(layout.config_generations)
        assert sorted(one.serial_no for one in found) == [1, 2, 3]
        with pytest.raises(errors.AlreadyRunning):
            filestore.go_back(layout, found[0])
    first = next(one for one in found if one.serial_no == 1)
    filestore.go_back(layout, first)
    assert _serial(layout) == 5  # later than anything there was
    restored, _ = await filestore.FileStore(layout).read()
    assert entries.to_snapshot(restored).instances == configurations.of(4).instances
    assert max(one.serial_no for one in generations.found(layout.config_generations)) == 4


async def test_only_one_may_write(layout: paths.Paths) -> None:
    async with filestore.FileStore(layout).lease():
        with pytest.raises(errors.AlreadyRunning, match=f"pid {os.getpid()}"):
            async with filestore.FileStore(layout).lease():
                pytest.fail("two have the lease")
    async with filestore.FileStore(layout).lease() as lease:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await lease.lost()


async def test_a_stale_version_is_a_conflict(layout: paths.Paths) -> None:
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    await kept.swap(version, _head(2))
    with pytest.raises(store.Conflict, match="changed since it was read"):
        await kept.swap(version, _head(3))
    assert _serial(layout) == 2


@pytest.mark.parametrize("how", ["replaced", "edited", "appended"])
async def test_what_somebody_else_wrote_is_not_overwritten(layout: paths.Paths, how: str) -> None:
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    version = await kept.swap(version, _head(2))
    path = layout.config_data
    if how == "replaced":
        path.with_name("other").write_bytes(path.read_bytes())
        path.with_name("other").replace(path)
    elif how == "edited":
        path.write_bytes(path.read_bytes().replace(b"node1", b"node9"))
    else:
        with path.open("ab") as file:
            file.write(b"\n")
    theirs = path.read_bytes()
    for _ in range(2):
        with pytest.raises(store.Conflict, match=r"somebody else wrote .*restart"):
            await kept.swap(version, _head(3))
    assert path.read_bytes() == theirs
    _, version = await kept.read()  # as a daemon does that starts anew
    await kept.swap(version, _head(3))
    assert _serial(layout) == 3


async def test_a_file_that_is_gone_is_written_anew(layout: paths.Paths) -> None:
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    layout.config_data.unlink()
    await kept.swap(version, _head(2))
    assert _serial(layout) == 2
    assert layout.config_data.stat().st_mode & 0o777 == 0o640


async def test_owner_and_mode_stay_as_they_are(layout: paths.Paths) -> None:
    layout.config_data.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(layout.config_data, 12, 34)
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    await kept.swap(version, _head(2))
    status = layout.config_data.stat()
    assert status.st_mode & 0o777 == 0o604
    if os.geteuid() == 0:
        assert (status.st_uid, status.st_gid) == (12, 34)


async def test_others_writing_is_noticed_and_our_own_is_not(layout: paths.Paths) -> None:
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    seen: list[int] = []
    noticed = asyncio.Event()

    async def watch() -> None:
        async for number in kept.watch():
            seen.append(number)
            noticed.set()

    watching = asyncio.create_task(watch())
    try:
        await asyncio.sleep(0)
        version = await kept.swap(version, _head(2))
        version = await kept.swap(version, _head(3))
        layout.config_data.with_name("unrelated").touch()
        assert seen == []
        layout.config_data.write_bytes(layout.config_data.read_bytes() + b" ")
        async with asyncio.timeout(10):
            await noticed.wait()
        assert seen == [version]
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def test_garbage_at_the_start_names_the_newest_good_state(layout: paths.Paths) -> None:
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    for serial_no in (2, 3):
        version = await kept.swap(version, _head(serial_no))
    newest = max(generations.found(layout.config_generations), key=lambda one: one.serial_no)
    newest.path.write_bytes(b"garbage too")
    whole = layout.config_data.read_bytes()
    for garbage in (b"", b"garbage", whole[:-300], b"\0" * len(whole)):
        layout.config_data.write_bytes(garbage)
        with pytest.raises(errors.Damaged, match=r"serial number 1, .*copy it there") as caught:
            await filestore.FileStore(layout).read()
        assert str(layout.config_data) in str(caught.value)


async def test_no_file_at_the_start_is_said(tmp_path: Path, layout: paths.Paths) -> None:
    with pytest.raises(errors.Unavailable, match=r"config\.data does not exist$"):
        await filestore.FileStore(paths.Paths(tmp_path / "elsewhere")).read()
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    await kept.swap(version, _head(2))
    layout.config_data.unlink()
    with pytest.raises(errors.Unavailable, match="serial number 1"):
        await filestore.FileStore(layout).read()


def test_a_cluster_is_not_made_where_one_is(layout: paths.Paths) -> None:
    with pytest.raises(errors.BadInput, match="a cluster here already"):
        filestore.create(layout, entries.from_snapshot(configurations.of(1)))


async def test_leftovers_of_those_who_were_killed_go_in_time(layout: paths.Paths) -> None:
    old, new = layout.state_dir / ".new-1111", layout.state_dir / ".new-2222"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    async with filestore.FileStore(layout).lease():
        assert not old.exists()
        assert new.exists()


@pytest.fixture
def small_disk(short_dir: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", short_dir], check=True)
    try:
        yield short_dir
    finally:
        subprocess.run(["umount", short_dir], check=True)


@pytest.mark.root
async def test_a_full_disk_refuses_and_room_goes_on(small_disk: Path) -> None:
    layout = paths.Paths(small_disk, "node1")
    filestore.create(layout, entries.from_snapshot(configurations.of(20)))
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    before = layout.config_data.read_bytes()
    for _ in range(3):
        with pytest.raises(errors.Exhausted, match="no room"):
            await kept.swap(version, _head(2))
    assert layout.config_data.read_bytes() == before
    assert (await kept.copy()).data == before
    assert not list(layout.state_dir.glob(".new-*"))
    ballast.unlink()
    await kept.swap(version, _head(2))
    assert _serial(layout) == 2


async def test_a_write_that_may_not_last_is_the_last_one(
    layout: paths.Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    real, calls = os.fsync, iter(range(100))

    def failing(fd: int) -> None:
        if next(calls) == 1:  # the file is synced and named; the directory is not
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match=r"may not last \(Input/output error\)"):
            await kept.swap(version, _head(2))


async def test_who_gives_up_waiting_does_not_stop_the_disk(layout: paths.Paths) -> None:
    kept = filestore.FileStore(layout)
    _, version = await kept.read()
    swapping = asyncio.create_task(kept.swap(version, _head(2)))
    await asyncio.sleep(0)
    swapping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await swapping
    assert _serial(layout) in {1, 2}
    version = version if _serial(layout) == 1 else version + 1
    await kept.swap(version, _head(3))
    assert _serial(layout) == 3


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from pyganeti.base import paths
from pyganeti.masterd.config import filestore

root, count = Path(sys.argv[1]), 0

def stepped(name, deadly):
    real = getattr(os, name)
    def call(*args, **more):
        global count
        path = str(args[0]) if args else ""
        if armed and not path.startswith("/proc"):
            count += 1
            if count == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)
    setattr(os, name, call)

async def write(layout):
    global armed
    kept = filestore.FileStore(layout)
    async with kept.lease():
        held, version = await kept.read()
        armed = True
        head = held["config"].replace(b'"serial_no":1', b'"serial_no":2')
        await kept.swap(version, {"config": head})
        armed = False

for deadly in range(1, 100):
    layout = paths.Paths(root / str(deadly), "node1")
    layout.state_dir.mkdir(parents=True)
    layout.config_data.write_bytes((root / "config.data").read_bytes())
    pid = os.fork()
    if pid == 0:
        armed = False
        for name in ("open", "write", "fsync", "fchmod", "fchown", "link", "rename", "close",
                     "stat", "mkdir", "unlink"):
            stepped(name, deadly)
        asyncio.run(write(layout))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status == 0:
        print(deadly)
        break
"""


def test_killed_at_each_step_the_state_is_old_or_new(tmp_path: Path) -> None:
    data = datafile.Pieces(entries.from_snapshot(configurations.of(4))).render()
    (tmp_path / "config.data").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        check=True, capture_output=True, timeout=50, text=True,
    )  # fmt: skip
    steps = int(done.stdout)
    assert steps > 6, "there are no steps to be killed at"
    serials = []
    for number in range(1, steps + 1):
        layout = paths.Paths(tmp_path / str(number), "node1")
        kept = filestore.FileStore(layout)
        serials.append(asyncio.run(_go_on(kept, layout)))
    assert set(serials) == {1, 2}
    assert serials == sorted(serials), "a later step is an older state"


async def _go_on(kept: filestore.FileStore, layout: paths.Paths) -> int:
    """Return the serial number that was found, after a further change."""
    async with kept.lease():
        held, version = await kept.read()
        found = entries.to_snapshot(held).serial_no
        await kept.swap(version, _head(found + 1))
    assert _serial(layout) == found + 1
    for generation in generations.found(layout.config_generations):
        assert filestore.is_good(generation.path)
    return found
