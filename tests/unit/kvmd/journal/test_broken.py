# ruff: noqa: ASYNC240 - a test's loop may wait for the disk

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab import examples, journals
from pyganeti.clients import stopjournal
from pyganeti.kvmd.journal import journal
from pyganeti.model import stop

Outcome = journal.Outcome
Kind = journal.TroubleKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def set_aside(path: Path) -> list[Path]:
    return sorted(
        found
        for found in path.parent.glob("journal.sqlite.broken-*")
        if not found.name.endswith(("-wal", "-shm"))
    )


async def a_full_one(path: Path, count: int = 3000) -> None:
    with journals.observed(path) as full:
        await full.record(*(examples.a_stop(number) for number in range(count)))


async def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


async def text(path: Path) -> None:
    path.write_text("this is not a database\n")


async def cut_in_its_header(path: Path) -> None:
    await a_full_one(path)
    os.truncate(path, 77)


async def cut_in_half(path: Path) -> None:
    await a_full_one(path)
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096 + 100)


async def every_page_broken(path: Path) -> None:
    await a_full_one(path)
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 512] = os.urandom(512)
    path.write_bytes(content)


async def a_directory(path: Path) -> None:
    (path / "with something").mkdir(parents=True)


async def a_fifo(path: Path) -> None:
    os.mkfifo(path)


async def of_a_newer_format(path: Path) -> None:
    await a_full_one(path, 5)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")


async def of_somebody_else(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE songs (title)")


async def ours_by_its_stamp_but_with_other_tables(path: Path) -> None:
    await a_full_one(path, 5)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE stops RENAME TO halts")


BROKEN = (
    garbage,
    text,
    cut_in_its_header,
    cut_in_half,
    every_page_broken,
    a_directory,
    a_fifo,
    of_a_newer_format,
    of_somebody_else,
    ours_by_its_stamp_but_with_other_tables,
)


@pytest.mark.parametrize("breaking", BROKEN)
async def test_a_broken_file_is_set_aside_and_another_begun(
    path: Path, breaking: Callable[[Path], Awaitable[None]]
) -> None:
    await breaking(path)
    stops = [examples.a_stop(number) for number in range(10_000, 10_200)]
    with journals.observed(path) as found:
        answers = await found.record(*stops)
        assert found.kept.pending == 0
    assert set(answers) == {Outcome.STORED}
    assert [one.key for one in journals.stored(path)] == [one.key for one in stops]
    assert len(set_aside(path)) == 1
    assert found.kinds == [Kind.BEGUN_ANEW]


async def test_an_empty_file_is_simply_used(path: Path) -> None:
    path.touch()
    with journals.observed(path) as found:
        assert await found.record(examples.a_stop()) == [Outcome.STORED]
    assert set_aside(path) == []
    assert found.kinds == []


async def test_what_was_set_aside_is_whole_with_its_log(path: Path, tmp_path: Path) -> None:
    await a_full_one(path, 5)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
        database.execute("UPDATE stops SET why = 'from the log'")
        database.commit()
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in tmp_path.glob("journal.sqlite*"):  # as kill -9 would leave it
            shutil.copy(name, copy)
    with journals.observed(copy / "journal.sqlite") as found:
        await found.record(examples.a_stop(77))
    [aside] = set_aside(copy / "journal.sqlite")
    with contextlib.closing(sqlite3.connect(aside)) as database:
        assert database.execute("SELECT DISTINCT why FROM stops").fetchall() == [("from the log",)]


async def test_a_file_that_breaks_while_in_use_is_set_aside_and_no_new_stop_is_lost(
    path: Path,
) -> None:
    await a_full_one(path)
    with journals.observed(path) as found:
        content = bytearray(path.read_bytes())
        for page in range(4096, len(content), 4096):
            content[page : page + 512] = os.urandom(512)
        path.write_bytes(content)
        stops = [examples.a_stop(number) for number in range(10_000, 12_000)]
        assert set(await found.record(*stops)) == {Outcome.STORED}
        assert {one.key for one in journals.stored(path)} >= {one.key for one in stops}
        await journals.until(lambda: Kind.BEGUN_ANEW in found.kinds)
    assert len(set_aside(path)) == 1


async def test_numbers_go_on_rising_over_a_file_that_broke_while_in_use(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(20)))
        path.unlink()
        await found.record(examples.a_stop(21))
        assert [one.number for one in journals.stored(path)] == [21]


async def test_a_file_that_breaks_again_and_again_makes_no_pile_of_files(path: Path) -> None:
    with journals.observed(path) as found:
        for number in range(20):
            for name in path.parent.glob("journal.sqlite-*"):
                name.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(b"garbage" * 1000)
            await found.record(examples.a_stop(number))
    assert len(set_aside(path)) == 1
    assert found.kinds.count(Kind.FAILING) == 1, "the second time it waits"
    assert found.kept.pending > 0


async def test_only_the_newest_broken_files_are_kept(path: Path) -> None:
    for hour in range(12):
        path.with_name(f"journal.sqlite.broken-20240101T{hour:02d}0000Z").write_text("old")
    path.write_text("broken")
    with journals.observed(path) as found:
        await found.record(examples.a_stop())
    names = [one.name for one in set_aside(path)]
    assert len(names) == 5
    assert "journal.sqlite.broken-20240101T110000Z" in names


async def test_a_file_that_vanished_is_made_again_and_that_is_told(path: Path) -> None:
    waiting = stop.Waiting(socket="w.kvmd", since=1.0, reason="busy")
    with journals.observed(path) as found:
        await found.record(examples.a_stop(1))
        found.kept.waiting([waiting])
        path.unlink()
        assert await found.record(examples.a_stop(2)) == [Outcome.STORED]
        assert [one.key for one in journals.stored(path)] == [examples.a_stop(2).key]
        await journals.until(lambda: found.kinds == [Kind.BEGUN_ANEW])
    with stopjournal.Reader(path) as reader:
        assert reader.waiting() == [waiting], "what it knows itself it writes again"


async def test_a_log_that_vanished_takes_no_stop_with_it(path: Path) -> None:
    with journals.observed(path) as found:
        for number in range(5):
            await found.record(examples.a_stop(number))
            for companion in ("-wal", "-shm"):
                path.with_name(path.name + companion).unlink()
        await found.record(examples.a_stop(5))
        assert len(journals.stored(path)) == 6
    assert found.kinds == []


async def test_a_directory_that_vanished_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "journal.sqlite"
    with journals.observed(path) as found:
        await found.record(examples.a_stop(1))
        shutil.rmtree(path.parent)
        assert await found.record(examples.a_stop(2)) == [Outcome.STORED]
    assert len(journals.stored(path)) == 1


async def test_a_backup_put_in_place_is_not_spoilt_by_the_log_of_the_file_before(
    path: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup" / "journal.sqlite"
    await a_full_one(backup, 50)
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(100, 900)))
        backup.replace(path)
        assert await found.record(examples.a_stop(7000)) == [Outcome.STORED]
        keys = [one.key for one in journals.stored(path)]
    assert keys == [examples.a_stop(number).key for number in (*range(50), 7000)]
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_what_an_illegible_row_does_not_say_does_not_keep_the_others_from_being_read(
    path: Path,
) -> None:
    with journals.observed(path) as found:
        for number in range(3):
            found.kept.remember(examples.watched(examples.a_stop(number)))
        await found.record(*(examples.a_stop(number) for number in range(10, 13)))
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE watched SET since = 'x' WHERE pid = 4000")
        database.execute("UPDATE watched SET events = '[[' WHERE pid = 4001")
        database.execute("UPDATE stops SET stopped = 'x' WHERE pid = 4010")
        database.execute("UPDATE stops SET evidence = '{', cause = 'boredom' WHERE pid = 4011")
        database.commit()
    with journals.observed(path) as found:
        watched, wanted = found.loaded
    assert [guest.pid for guest in watched] == [4001, 4002]
    assert [guest.whole for guest in watched] == [False, True]
    assert {one.pid for one in wanted} == {4011, 4012}
    with stopjournal.Reader(path) as reader:
        odd, plain = reader.stops()
        assert reader.illegible == 1
    assert odd.cause == "unknown"
    assert odd.evidence.missing
    assert plain.cause == "user-poweroff"
