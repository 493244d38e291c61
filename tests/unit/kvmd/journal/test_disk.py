"""Disks that are full, read-only or hang, and files that somebody else has locked."""

# ruff: noqa: ASYNC240 - a test's loop may wait for the disk

import asyncio
import contextlib
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import examples, journals
from pyganeti.kvmd.journal import journal

Outcome = journal.Outcome
Kind = journal.TroubleKind

_LOCKER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def _run(*words: object) -> None:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, timeout=20, check=False
    )
    if done.returncode:
        pytest.skip(f"{words[0]} is not possible here: {done.stderr.decode().strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True, timeout=20)


def _fill(place: Path) -> Path:
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


@pytest.mark.root
async def test_on_a_full_disk_stops_go_on_and_are_stored_when_there_is_space(
    small_disk: Path,
) -> None:
    path = small_disk / "journal.sqlite"
    with journals.observed(path, patience=journal.PATIENCE) as found:
        assert await found.record(examples.a_stop(1)) == [Outcome.STORED]
        filler = _fill(small_disk)
        stops = [examples.a_stop(number) for number in range(2, 600)]
        begun = time.monotonic()
        answers = await found.record(*stops)
        assert time.monotonic() - begun < 2
        assert set(answers) >= {Outcome.PENDING}
        assert [found.kept.failing] == [True]
        assert found.kept.pending == answers.count(Outcome.PENDING)
        for one in stops:
            found.kept.marker_made(one.key)
        again = await found.record(examples.a_stop(700))
        assert again == [Outcome.PENDING]
        assert found.kinds.count(Kind.FAILING) == 1, "it is said once"
        os.truncate(filler, 0)
        _run("mount", "-o", "remount,size=16m", small_disk)
        await journals.until(lambda: found.kept.pending == 0, 20)
        await journals.until(lambda: found.kinds[-1] is Kind.WELL)
        assert not found.kept.failing
        assert found.kinds == [Kind.FAILING, Kind.WELL]
        assert await found.record(examples.a_stop(800)) == [Outcome.STORED]
    keys = [one.key for one in journals.stored(path)]
    assert keys == [examples.a_stop(n).key for n in (*range(1, 600), 700, 800)]
    kept = journal.Journal.open(path)
    _, wanted = kept.load(examples.BOOT)
    kept.close()
    assert [one.key for one in wanted] == [examples.a_stop(n).key for n in (1, 700, 800)]


@pytest.mark.root
async def test_a_disk_that_is_full_from_the_start_is_used_once_it_is_not(small_disk: Path) -> None:
    path = small_disk / "kvmd" / "journal.sqlite"
    filler = _fill(small_disk)
    with journals.observed(path, patience=journal.PATIENCE) as found:
        assert found.loaded == ((), ())
        assert await found.record(examples.a_stop(1)) == [Outcome.PENDING]
        filler.unlink()
        await journals.until(lambda: found.kept.pending == 0, 20)
    assert len(journals.stored(path)) == 1


@pytest.mark.root
async def test_a_full_disk_at_the_end_is_told_by_close(small_disk: Path) -> None:
    path = small_disk / "journal.sqlite"
    with journals.observed(path, patience=journal.PATIENCE) as found:
        await found.record(examples.a_stop(1))
        _fill(small_disk)
        await found.record(*(examples.a_stop(number) for number in range(2, 600)))
        begun = time.monotonic()
        assert not found.kept.close()
        assert time.monotonic() - begun < 2
    assert len(journals.stored(path)) < 599, "what was committed is still legible"


@pytest.mark.root
async def test_on_a_full_disk_what_was_known_before_can_be_loaded(small_disk: Path) -> None:
    path = small_disk / "journal.sqlite"
    one, other = examples.a_stop(1), examples.a_stop(2)
    with journals.observed(path, patience=journal.PATIENCE) as found:
        found.kept.remember(examples.watched(other))
        await found.record(one)
    _fill(small_disk)
    with journals.observed(path, patience=journal.PATIENCE) as found:
        watched, wanted = found.loaded
    assert [guest.key for guest in watched] == [other.key]
    assert [stop.key for stop in wanted] == [one.key]


@pytest.mark.root
async def test_a_read_only_disk_costs_no_stop(small_disk: Path) -> None:
    path = small_disk / "journal.sqlite"
    with journals.observed(path, patience=journal.PATIENCE) as found:
        await found.record(examples.a_stop(1))
    _run("mount", "-o", "remount,ro", small_disk)
    with journals.observed(path, patience=journal.PATIENCE) as found:
        assert await found.record(examples.a_stop(2)) == [Outcome.PENDING]
        _run("mount", "-o", "remount,rw", small_disk)
        await journals.until(lambda: found.kept.pending == 0, 20)
    assert len(journals.stored(path)) == 2
    assert list(small_disk.glob("*broken*")) == [], "there is nothing wrong with the file"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _LOCKER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == b"locked\n"
        try:
            yield locker
        finally:
            locker.kill()


async def test_a_lock_of_somebody_else_delays_no_stop_and_is_waited_out(path: Path) -> None:
    with journals.observed(path, patience=journal.PATIENCE) as found:
        found.kept.remember(examples.watched(examples.a_stop(9)))
        await found.record(examples.a_stop(1))
        with _locked(path) as locker:
            begun = time.monotonic()
            assert await found.record(examples.a_stop(2)) == [Outcome.PENDING]
            assert await found.record(examples.a_stop(3)) == [Outcome.PENDING]
            assert time.monotonic() - begun < 1
            locker.kill()
            locker.wait()
            await journals.until(lambda: found.kept.pending == 0)
        await journals.until(lambda: found.kinds == [Kind.FAILING, Kind.WELL])
    assert len(journals.stored(path)) == 3
    assert not list(path.parent.glob("*broken*"))


async def test_what_was_known_before_can_be_loaded_from_a_locked_file(path: Path) -> None:
    guest = examples.watched(examples.a_stop(9))
    with journals.observed(path, patience=journal.PATIENCE) as found:
        found.kept.remember(guest)
        await found.record(examples.a_stop(1))
    with _locked(path), journals.observed(path, patience=journal.PATIENCE) as found:
        assert found.loaded[0] == (guest,)


@pytest.fixture
def freezable_disk(tmp_path: Path) -> Iterator[Path]:
    if not shutil.which("fsfreeze") or not shutil.which("mkfs.ext4"):
        pytest.skip("needs fsfreeze and mkfs.ext4")
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    _run("mkfs.ext4", "-q", image)
    _run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        subprocess.run(
            ["fsfreeze", "--unfreeze", place], check=False, timeout=20, capture_output=True
        )
        subprocess.run(["umount", place], check=True, timeout=20)


@pytest.mark.root
async def test_a_disk_that_hangs_holds_no_stop_up_for_long(freezable_disk: Path) -> None:
    path = freezable_disk / "journal.sqlite"
    with journals.observed(path, patience=journal.PATIENCE) as found:
        await found.record(examples.a_stop(1))
        _run("fsfreeze", "--freeze", freezable_disk)
        begun = time.monotonic()
        worst = 0.0
        recording = asyncio.create_task(
            found.record(*(examples.a_stop(number) for number in range(2, 500)))
        )
        while not recording.done():
            turn = time.monotonic()
            await asyncio.sleep(0)
            worst = max(worst, time.monotonic() - turn)
            select.select([], [], [], 0.001)
        assert set(recording.result()) == {Outcome.PENDING}
        assert 0.4 < time.monotonic() - begun < 1.5
        assert worst < 0.1, "the loop went on meanwhile"
        _run("fsfreeze", "--unfreeze", freezable_disk)
        await journals.until(lambda: found.kept.pending == 0)
        assert await found.record(examples.a_stop(1000)) == [Outcome.STORED]
    assert len(journals.stored(path)) == 500


@pytest.mark.root
async def test_closing_does_not_wait_for_a_disk_that_hangs(freezable_disk: Path) -> None:
    path = freezable_disk / "journal.sqlite"
    answers: list[Outcome] = []
    with journals.observed(path, patience=journal.PATIENCE) as found:
        await found.record(examples.a_stop(1))
        _run("fsfreeze", "--freeze", freezable_disk)
        found.kept.record(examples.a_stop(2), lambda _, outcome: answers.append(outcome))
        begun = time.monotonic()
        assert not found.kept.close(timeout=0.3)
        assert time.monotonic() - begun < 2
        assert answers == [Outcome.PENDING]
        _run("fsfreeze", "--unfreeze", freezable_disk)
        await journals.until(lambda: len(journals.stored(path)) == 2)
