import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import inotify
from pyganeti.noded.stops import watching


@contextlib.contextmanager
def _watching(journal: Path) -> Iterator[tuple[watching.Watch, asyncio.Event]]:
    changed = asyncio.Event()
    watch = watching.Watch(journal, changed.set)
    watch.open()
    try:
        yield watch, changed
    finally:
        watch.close()


async def _told(changed: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await changed.wait()
    changed.clear()


async def test_a_write_to_the_journals_log_is_told(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    with _watching(journal) as (watch, changed):
        assert not watch.is_blind
        log = tmp_path / "journal.sqlite-wal"
        with log.open("wb", buffering=0) as file:
            await _told(changed)
            file.write(b"a commit")
            await _told(changed)
        log.unlink()
        await _told(changed)


async def test_what_lies_beside_is_nobodys_news(tmp_path: Path) -> None:
    with _watching(tmp_path / "journal.sqlite") as (_, changed):
        (tmp_path / "other").write_text("noise")
        await asyncio.sleep(0)  # inotify has it already; a turn of the loop takes it
        await asyncio.sleep(0)
        assert not changed.is_set()
        (tmp_path / "journal.sqlite").touch()
        await _told(changed)


async def test_a_directory_that_comes_goes_and_comes_again_is_followed(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "kvmd"
    journal = directory / "journal.sqlite"
    with _watching(journal) as (watch, changed):
        for _ in range(2):
            directory.mkdir(parents=True)
            await _told(changed)
            await asyncio.sleep(0.01)
            changed.clear()
            journal.write_text("new")
            await _told(changed)
            directory.rename(tmp_path / "away")
            await _told(changed)
            (tmp_path / "away" / journal.name).unlink()
            (tmp_path / "away").rmdir()
            directory.parent.rmdir()
            await _told(changed)
        assert not watch.is_blind


async def test_without_inotify_it_is_blind_and_tries_again_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: inotify.Inotify) -> None:
        raise OSError(24, "Too many open files")

    changed = asyncio.Event()
    watch = watching.Watch(tmp_path / "journal.sqlite", changed.set)
    with monkeypatch.context() as spent:
        spent.setattr(inotify.Inotify, "__init__", refuse)
        watch.open()
        assert _is_blind(watch)
    watch.open()
    assert not _is_blind(watch)
    (tmp_path / "journal.sqlite").touch()
    await _told(changed)
    watch.close()


def _is_blind(watch: watching.Watch) -> bool:
    return watch.is_blind
