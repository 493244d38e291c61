"""What a verdict leaves behind, whatever comes between it and its being on disk."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import listening, oneloop
from pyganeti.clients import stopjournal


@contextlib.contextmanager
def _locked(journal: Path) -> Iterator[None]:
    """Keep the journal from being written; stops are followed up all the same, in half a second."""
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


@contextlib.contextmanager
def _unusable() -> Iterator[int]:
    """Give a descriptor in which every file fails to be made, with ENOTDIR."""
    fd = os.open(os.devnull, os.O_RDONLY)
    yield fd
    os.close(fd)


def _errors(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [text for record in caplog.records if words in (text := record.getMessage())]


async def test_power_off_leaves_a_marker_and_a_kill_does_not(kvmd: oneloop.Kvmd) -> None:
    kvmd.start()
    off, killed = kvmd.qemu("off"), kvmd.qemu("killed")
    await kvmd.see_watched("off")
    await kvmd.see_watched("killed")
    off.power_off()
    killed.kill()
    assert [stop.cause for stop in await kvmd.see_stops("off")] == ["user-poweroff"]
    assert [stop.cause for stop in await kvmd.see_stops("killed")] == ["killed"]
    await listening.until(lambda: kvmd.has_marker("off"))
    await kvmd.stop()
    assert not kvmd.has_marker("killed")


async def test_next_qemu_of_the_name_removes_the_marker(kvmd: oneloop.Kvmd) -> None:
    kvmd.start()
    first = kvmd.qemu("web1")
    await kvmd.see_watched("web1")
    first.power_off()
    await listening.until(lambda: kvmd.has_marker("web1"))
    await listening.until(first.has_ended)
    kvmd.qemu("web1")
    await listening.until(lambda: not kvmd.has_marker("web1"))


async def test_late_row_brings_no_marker_back_once_the_next_qemu_ran_even_if_that_is_gone_again(
    kvmd: oneloop.Kvmd,
) -> None:
    kvmd.start()
    first = kvmd.qemu("web1")
    await kvmd.see_watched("web1", first.pid)
    with _locked(kvmd.journal):
        first.power_off()
        await listening.until(first.has_ended)
        second = kvmd.qemu("web1")
        await listening.until(lambda: second.saw("query-status"))
        second.exit(0)
        await listening.until(second.has_ended)
        (kvmd.ctrl / "web1.kvmd").unlink()
    await kvmd.see_stops("web1", 2)
    await kvmd.stop()
    assert not kvmd.has_marker("web1")
    with stopjournal.Reader(kvmd.journal) as reader:
        assert {stop.cause for stop in reader.stops(name="web1")} == {"user-poweroff", "exited"}


async def test_marker_that_a_missing_directory_owes_is_made_when_it_is_back(
    kvmd: oneloop.Kvmd,
) -> None:
    parts = kvmd.start()
    web1 = kvmd.qemu("web1")
    await kvmd.see_watched("web1")
    away = kvmd.ctrl.rename(kvmd.ctrl.with_name("away"))
    await listening.until(lambda: parts.place.dirfd is None)
    web1.power_off()
    await kvmd.see_stops("web1")
    away.rename(kvmd.ctrl)
    await listening.until(lambda: kvmd.has_marker("web1"))


async def test_marker_that_is_owed_is_said_once_and_made_when_it_can_be(
    kvmd: oneloop.Kvmd, caplog: pytest.LogCaptureFixture
) -> None:
    parts = kvmd.start()
    qemus = [kvmd.qemu(name) for name in ("web1", "web2")]
    for name in ("web1", "web2"):
        await kvmd.see_watched(name)
    dirfd = parts.place.dirfd
    with _unusable() as unusable:
        parts.place.dirfd = unusable
        for qemu in qemus:
            qemu.power_off()
        await kvmd.see_stops("web1")
        await kvmd.see_stops("web2")
        for _ in range(10):
            parts.recorder.settle()
            await asyncio.sleep(0)
        parts.place.dirfd = dirfd
    assert len(_errors(caplog, "owed")) == 1
    parts.recorder.settle()
    assert kvmd.has_marker("web1")
    assert kvmd.has_marker("web2")


async def test_marker_whose_name_is_too_long_for_a_file_is_given_up(
    kvmd: oneloop.Kvmd, caplog: pytest.LogCaptureFixture
) -> None:
    web1 = kvmd.qemu("web1")
    await listening.until(lambda: web1.saw("listening"))
    name = "x" * 250
    (kvmd.ctrl / "web1.kvmd").rename(kvmd.ctrl / f"{name}.kvmd")
    parts = kvmd.start()
    await kvmd.see_watched(name)
    web1.power_off()
    await kvmd.see_stops(name)
    await listening.until(lambda: bool(_errors(caplog, "cannot be made")))  # after its row
    for _ in range(3):
        parts.recorder.settle()
    assert len(_errors(caplog, "cannot be made")) == 1
    assert _errors(caplog, "owed") == []
