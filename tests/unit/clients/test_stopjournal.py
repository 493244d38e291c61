# ruff: noqa: ASYNC240 - a test's loop may wait for the disk

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import examples, journals
from pyganeti.base import errors
from pyganeti.clients import stopjournal
from pyganeti.kvmd.journal import journal
from pyganeti.model import cause, stop


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


class Follower:
    """Follows in a thread of its own, as a command does in a process of its own."""

    def __init__(self, path: Path, after: int = 0) -> None:
        self.seen: list[stop.Stop] = []
        self.fault: BaseException | None = None
        self._ended = threading.Event()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(path, after))
        self._thread.start()
        assert self._is_ready.wait(10)

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.seen]

    def end(self) -> None:
        self._ended.set()
        self._thread.join(10)
        assert self.fault is None

    def _run(self, path: Path, after: int) -> None:
        try:
            with stopjournal.Reader(path) as reader:
                self._is_ready.set()
                for one in reader.follow(after, interval=0.01, ended=self._ended.wait):
                    self.seen.append(one)
        except BaseException as fault:  # noqa: BLE001 - told by `end`
            self.fault = fault
            self._is_ready.set()


@contextlib.contextmanager
def following(path: Path, after: int = 0) -> Iterator[Follower]:
    found = Follower(path, after)
    try:
        yield found
    finally:
        found.end()


async def test_stops_are_found_by_name_time_cause_and_number(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(
            examples.a_stop(1, name="web", stopped=100.0),
            examples.a_stop(2, name="db", stopped=200.0, cause=cause.Cause.CRASHED),
            examples.a_stop(3, name="web", stopped=300.0, cause=cause.Cause.KILLED),
            examples.a_stop(4, name="Web", stopped=400.0),
        )
        with stopjournal.Reader(path) as reader:

            def pids(**asked: object) -> list[int | None]:
                return [one.pid for one in reader.stops(**asked)]  # type: ignore[arg-type]

            assert pids() == [4001, 4002, 4003, 4004]
            assert pids(name="web") == [4001, 4003]
            assert pids(since=200.0) == [4002, 4003, 4004]
            assert pids(causes=[cause.Cause.CRASHED, cause.Cause.KILLED]) == [4002, 4003]
            assert pids(name="web", causes=[cause.Cause.KILLED], since=1) == [4003]
            assert pids(limit=2) == [4003, 4004]
            assert pids(limit=0) == []
            assert pids(limit=9) == [4001, 4002, 4003, 4004]
            assert pids(name="web", limit=1) == [4003]
            assert pids(after=2) == [4003, 4004]
            assert pids(name="nobody") == []
            last = reader.last("web")
            assert last is not None
            assert last.pid == 4003
            assert reader.last("nobody") is None
            assert reader.last_number() == 4


async def test_more_than_a_chunk_is_read_whole_and_in_order(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(1200)))
        with stopjournal.Reader(path) as reader:
            assert [one.number for one in reader.stops()] == list(range(1, 1201))
            assert [one.number for one in reader.stops(limit=700)] == list(range(501, 1201))


def test_no_journal_is_told_as_such(path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="no stop journal"):
        stopjournal.Reader(path)
    assert not path.exists(), "looking for it does not make it"


@pytest.mark.parametrize("content", [b"garbage" * 5000, b"SQLite format 3\0" + bytes(5000), b""])
def test_what_is_no_journal_is_damage_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(errors.Damaged):
        stopjournal.Reader(path)
    assert path.read_bytes() == content


def test_a_directory_is_damage(path: Path) -> None:
    path.mkdir()
    with pytest.raises(errors.Damaged):
        stopjournal.Reader(path)


async def test_a_journal_of_a_newer_format_is_refused(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(examples.a_stop())
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(errors.Damaged, match="format 2"):
        stopjournal.Reader(path)


async def test_a_page_that_breaks_is_told_as_damage(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(3000)))
    content = bytearray(path.read_bytes())
    for page in range(4096 * 8, len(content), 4096):
        content[page : page + 512] = os.urandom(512)
    path.write_bytes(content)
    with stopjournal.Reader(path) as reader, pytest.raises(errors.Damaged):
        list(reader.stops())


async def test_a_reader_in_the_middle_does_not_hold_the_writer_up(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(2000)))
        with stopjournal.Reader(path) as reader:
            reading = reader.stops()
            first = next(reading)
            answers = await found.record(*(examples.a_stop(n) for n in range(2000, 4000)))
            assert set(answers) == {journal.Outcome.STORED}
            assert len([first, *reading]) == 4000


@pytest.mark.root
async def test_somebody_who_may_only_read_can_read_while_it_is_written_and_afterwards(
    short_dir: Path,
) -> None:
    short_dir.chmod(0o755)
    path = short_dir / "kvmd" / "journal.sqlite"

    def read_as_nobody() -> str:
        program = (
            "import sys, os; from pathlib import Path; from pyganeti.clients import stopjournal\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "with stopjournal.Reader(Path(sys.argv[1])) as reader:\n"
            "    print(sum(1 for _ in reader.stops()), len(reader.watched()))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, path],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout or done.stderr

    def open_to_all() -> None:
        path.parent.chmod(0o755)
        for name in path.parent.iterdir():
            name.chmod(0o644)

    with journals.observed(path) as found:
        found.kept.remember(examples.watched(examples.a_stop(9)))
        await found.record(*(examples.a_stop(number) for number in range(5)))
        open_to_all()
        await journals.until(lambda: read_as_nobody() == "5 1\n")
    assert read_as_nobody() == "5 1\n"
    path.chmod(0o600)
    assert "Unavailable" in read_as_nobody()


async def test_following_tells_each_stop_once_from_the_number_asked_for(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(10)))
        with following(path, after=5) as follower:
            for number in range(10, 300):
                await found.record(examples.a_stop(number))
            await journals.until(lambda: len(follower.seen) >= 295)
    assert follower.keys == [examples.a_stop(number).key for number in range(5, 300)]


async def test_following_loses_nothing_over_a_storm(path: Path) -> None:
    with journals.observed(path) as found, following(path) as follower:
        await found.record(*(examples.a_stop(number) for number in range(10_000)))
        await journals.until(lambda: len(follower.seen) >= 10_000, 30)
    assert follower.keys == [examples.a_stop(number).key for number in range(10_000)]


async def test_following_goes_on_over_pruning(path: Path) -> None:
    with journals.observed(path, keep_rows=50) as found, following(path) as follower:
        for total in range(0, 4000, 1000):
            await found.record(*(examples.a_stop(n) for n in range(total, total + 1000)))
            await journals.until(lambda: bool(follower.seen))
        await journals.until(lambda: follower.seen[-1].number == 4000)
        await journals.until(lambda: len(journals.stored(path)) <= 50)
        await found.record(examples.a_stop(9999))
        await journals.until(lambda: follower.seen[-1].number == 4001)
    numbers = [one.number for one in follower.seen]
    assert numbers == sorted(set(numbers))


async def test_following_goes_on_over_a_file_that_was_set_aside(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(10)))
        with following(path, after=3) as follower:
            await journals.until(lambda: len(follower.seen) == 7)
            path.rename(path.with_name("aside"))
            await found.record(*(examples.a_stop(number) for number in range(10, 20)))
            await journals.until(lambda: len(follower.seen) == 17)
            path.unlink()
            await found.record(*(examples.a_stop(number) for number in range(20, 30)))
            await journals.until(lambda: len(follower.seen) == 27)
    assert follower.keys == [examples.a_stop(number).key for number in range(3, 30)]


async def test_following_goes_on_over_a_file_that_was_broken_at_the_daemons_start(
    path: Path,
) -> None:
    with journals.observed(path) as found:
        await found.record(*(examples.a_stop(number) for number in range(10)))
    with following(path) as follower:
        await journals.until(lambda: len(follower.seen) == 10)
        path.with_name("garbage").write_bytes(b"garbage" * 1000)
        path.with_name("garbage").replace(path)
        await asyncio.sleep(0.03)  # it may look at the garbage meanwhile
        with journals.observed(path) as found:
            await found.record(*(examples.a_stop(number) for number in range(10, 13)))
            await journals.until(lambda: len(follower.seen) == 13)
    assert follower.keys == [examples.a_stop(number).key for number in range(13)]


async def test_following_goes_on_while_the_daemon_comes_and_goes(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(examples.a_stop(0))
    with following(path) as follower:
        for number in range(1, 6):
            with journals.observed(path) as found:
                await found.record(examples.a_stop(number))
        await journals.until(lambda: len(follower.seen) == 6)
    assert follower.keys == [examples.a_stop(number).key for number in range(6)]


@pytest.mark.root
def test_a_follower_of_a_file_that_may_only_be_read_sees_the_daemon_begin(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK)
    kept.load(examples.BOOT)
    kept.close()
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True, timeout=20)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", tmp_path], check=True, timeout=20)
        with following(path) as follower:
            subprocess.run(["mount", "-o", "remount,bind,rw", tmp_path], check=True, timeout=20)

            async def write() -> None:
                with journals.observed(path) as found:
                    await found.record(examples.a_stop(1))
                    await journals.until(lambda: len(follower.seen) == 1)

            asyncio.run(write())
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True, timeout=20)


async def test_stops_are_counted_by_cause_for_good_also_in_a_file_that_did_not_count(
    path: Path,
) -> None:
    with journals.observed(path) as kept:
        await kept.record(*(examples.a_stop(n) for n in range(1, 4)))
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("DROP TRIGGER stops_counted; DROP TABLE totals")
    with stopjournal.Reader(path) as reader:
        assert reader.totals() == {examples.a_stop().cause.value: 3}
    with journals.observed(path) as kept:
        await kept.record(examples.a_stop(4), examples.a_stop(4))
    with contextlib.closing(sqlite3.connect(path)) as pruned:
        pruned.execute("DELETE FROM stops WHERE number < 4")
        pruned.commit()
    with stopjournal.Reader(path) as reader:
        assert reader.totals() == {examples.a_stop().cause.value: 4}
