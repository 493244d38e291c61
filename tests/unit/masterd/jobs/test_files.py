"""What reaches the disk, in which order, and what happens when it does not."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from lab import carriers, jobs
from pyganeti.masterd.jobs import files, refusals

op = carriers.opcode


@pytest.fixture
def directory(place: Path) -> Iterator[files.Directory]:
    found = files.Directory(place)
    found.open()
    yield found
    found.close()


def test_files_are_synced_before_they_get_their_names_and_names_before_it_is_told(
    directory: files.Directory, place: Path
) -> None:
    calls: list[str] = []

    def note(frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call" and frame.f_globals.get("__name__") == files.__name__:
            name = getattr(arg, "__name__", "")
            if name in {"write", "fsync", "rename"}:
                calls.append(name)

    sys.setprofile(note)
    try:
        assert directory.write([files.Write(5, b"five", is_new=True)], None) == {5: None}
    finally:
        sys.setprofile(None)
    assert calls == ["write", "fsync", "rename", "fsync"]
    assert (place / "job-5").read_bytes() == b"five"
    assert (place / "job-5").stat().st_mode & 0o777 == 0o640


def test_many_are_written_at_once_whatever_happens_to_some(
    directory: files.Directory, place: Path
) -> None:
    (place / "job-7").write_text("by hand")
    (place / "job-900").mkdir()
    writes = [files.Write(n, b"%d" % n, is_new=True) for n in range(1, 501)]
    results = directory.write([*writes, files.Write(800, b"x"), files.Write(900, b"x")], 500)
    assert isinstance(results.pop(7), files.Taken)
    assert isinstance(results.pop(800), files.Removed)
    assert isinstance(results.pop(900), IsADirectoryError)
    assert set(results.values()) == {None}
    assert len(results) == 499
    assert (place / "serial").read_text() == "500\n"
    assert (place / "job-7").read_text() == "by hand"
    assert not list(place.glob(".new-*"))


def test_files_belong_to_whom_the_directory_belongs(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    place = tmp_path / "queue"
    place.mkdir(parents=True)
    os.chown(place, 65534, 65534)
    found = files.Directory(place)
    found.open()
    found.write([files.Write(1, b"x", is_new=True)], 1)
    found.archive([1])
    found.close()
    for name in ("version", "serial", "archive", "archive/0", "archive/0/job-1"):
        assert (place / name).stat().st_uid == 65534, name


def test_archiving_a_job_that_went_away_leaves_the_others(
    directory: files.Directory, place: Path
) -> None:
    numbers = [9999, 10000, 20001]
    directory.write([files.Write(n, b"x", is_new=True) for n in numbers], None)
    assert directory.archive([9999, 5, 10000, 20001]) == numbers
    assert (place / "archive/0/job-9999").exists()
    assert (place / "archive/1/job-10000").exists()
    assert sorted(directory.archived_numbers()) == numbers


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """Put the queue on a file system of 256 KiB."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=750", "none", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(path: Path) -> Path:
    """Leave no room on a disk."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    room = os.statvfs(path)
    assert room.f_bavail == 0
    return filler


@pytest.mark.root
async def test_a_full_disk_refuses_jobs_and_loses_none_that_were_accepted(
    opened: jobs.Opening, small_disk: Path
) -> None:
    async with opened() as (found, carrier):
        runs = await found.submit([op("hold")])
        waits = await found.submit([op("wait")])
        await carrier.arrived("begin", runs)
        await carrier.arrived("wait", waits)
        filler = fill(small_disk)
        with pytest.raises(refusals.JobQueueError, match="No space left"):
            await found.submit([op()])
        made = await found.submit_many([[op()], [op()]])
        assert [is_accepted for is_accepted, _ in made] == [False, False]
        carrier.let_go(runs)
        carrier.let_go(waits)
        await carrier.arrived("done", runs)
        # it has ended, and nobody is told before that would last; the other does not begin
        answer = await found.wait_for_change(runs, ["status"], ["running"], None, 0.3)
        assert answer == "nochange"
        assert carrier.done("begin") == [runs]
        assert await jobs.state(found, waits) == "waiting"
        filler.unlink()
        assert await jobs.ended(found, runs, waits) == ["success", "success"]
        number = await found.submit([op()])
        assert number > waits
        assert await jobs.ended(found, number) == ["success"]
        assert found.numbers == sorted([runs, waits, number])


@pytest.mark.root
async def test_a_daemon_that_ends_while_the_disk_is_full_takes_up_its_jobs_again(
    opened: jobs.Opening, small_disk: Path
) -> None:
    async with opened() as (found, carrier):
        runs = await found.submit([op("hold")])
        queued = await found.submit([op("wait")])
        await carrier.arrived("begin", runs)
        await carrier.arrived("wait", queued)
        filler = fill(small_disk)
        carrier.let_go(runs)
        await carrier.arrived("done", runs)
    filler.unlink()
    async with opened() as (found, carrier):
        carrier.let_go(queued)
        assert await jobs.ended(found, runs, queued) == ["error", "success"]


@pytest.mark.root
async def test_a_cancel_on_a_full_disk_is_told_when_it_lasts(
    opened: jobs.Opening, small_disk: Path
) -> None:
    async with opened(limit=lambda: 1) as (found, carrier):
        first = await found.submit([op("hold")])
        second = await found.submit([op()])
        await carrier.arrived("begin", first)
        filler = fill(small_disk)
        asked = asyncio.create_task(found.cancel(second))
        done, _ = await asyncio.wait({asked}, timeout=0.3)
        assert not done
        filler.unlink()
        assert (await asked)[0]
        assert await jobs.state(found, second) == "canceled"
        carrier.let_go(first)
