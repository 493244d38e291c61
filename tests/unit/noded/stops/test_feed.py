# ruff: noqa: ASYNC240 - a test's loop may wait for the disk

import asyncio
import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import examples, journals
from pyganeti.base import errors
from pyganeti.model import cause
from pyganeti.noded.stops import feed, reading, watching
from pyganeti.wire import stopanswers

_ALL = stopanswers.Filter()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kvmd/journal.sqlite"


@contextlib.contextmanager
def _feeding(path: Path, most: int = 5) -> Iterator[feed.Feed]:
    made = feed.Feed(path, runs=lambda: True, most=most)
    try:
        yield made
    finally:
        made.close()


async def _ask(
    fed: feed.Feed,
    mark: str | None = None,
    patience: float = 0,
    limit: int = 100,
    wanted: stopanswers.Filter = _ALL,
) -> stopanswers.Stops:
    async with asyncio.timeout(20):
        return await fed.stops(reading.Asked(mark, limit, wanted), patience)


def _pids(answer: stopanswers.Stops) -> list[int]:
    return [row["pid"] for row in answer.rows]


async def _all_wait(fed: feed.Feed, number: int) -> None:
    """Wait until so many wait, and have looked once."""
    await journals.until(lambda: fed.waiting == number)
    await asyncio.sleep(0.05)


async def test_pages_follow_on_each_other_without_gap_or_overlap(path: Path) -> None:
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(*(examples.a_stop(number) for number in range(25)))
        mark, seen = None, []
        for more in (True, True, False):
            answer = await _ask(fed, mark, limit=10)
            assert (answer.more, answer.anew, answer.journal, answer.kvmd) == (
                (more, "", "there", True)
            )
            mark = answer.mark
            seen += _pids(answer)
        assert seen == [number + 4000 for number in range(25)]
        assert _pids(await _ask(fed, mark)) == []
        assert (await _ask(fed, mark)).mark == mark == (await _ask(fed, "end")).mark


async def test_rows_are_picked_by_name_cause_and_time(path: Path) -> None:
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(
            examples.a_stop(1, name="web", stopped=100.0),
            examples.a_stop(2, name="db", stopped=200.0, cause=cause.Cause.CRASHED),
            examples.a_stop(3, name="web", stopped=300.0, cause=cause.Cause.KILLED),
        )
        ask = stopanswers.Filter
        assert _pids(await _ask(fed, wanted=ask(names=("web",)))) == [4001, 4003]
        assert _pids(await _ask(fed, wanted=ask(names=("web", "db"), since=200))) == [4002, 4003]
        assert _pids(await _ask(fed, wanted=ask(since=150, until=200))) == [4002]
        last = await _ask(fed, wanted=ask(causes=(cause.Cause.CRASHED,)), limit=1)
        assert (_pids(last), last.more) == ([4002], False)
        assert last.mark == (await _ask(fed, "end")).mark, "what is not wanted is passed, too"


async def test_the_newest_of_many_can_be_asked_for(path: Path) -> None:
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(*(examples.a_stop(number) for number in range(25)))
        newest = stopanswers.Filter(newest=True)

        answer = await _ask(fed, limit=3, wanted=newest)

        assert (_pids(answer), answer.more) == ([4022, 4023, 4024], True)
        assert answer.mark == (await _ask(fed, "end")).mark, "one goes on behind them"
        answer = await _ask(fed, limit=25, wanted=newest)
        assert (len(answer.rows), answer.more) == (25, False)


async def test_a_host_is_known_by_the_first_parts_of_its_name(path: Path) -> None:
    names = ("web.a.example", "web", "web.a", "web-2.a.example", "webx", "b.web", "\udcff.a")
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(
            *(examples.a_stop(number, name=name) for number, name in enumerate(names))
        )
        ask = stopanswers.Filter
        assert _pids(await _ask(fed, wanted=ask(hosts=("web",)))) == [4000, 4001, 4002]
        assert _pids(await _ask(fed, wanted=ask(hosts=("web.a",)))) == [4000, 4002]
        both = await _ask(fed, wanted=ask(hosts=("web.a",), names=("webx", "b.we")))
        assert _pids(both) == [4000, 4002, 4004]
        assert _pids(await _ask(fed, wanted=ask(hosts=("example", "%", "we_")))) == []


async def test_the_last_stops_of_many_guests_are_told_at_once(path: Path) -> None:
    async with asyncio.timeout(20):
        with journals.observed(path) as found, _feeding(path) as fed:
            assert (await fed.last_stops(["web"])).stops == {}
            await found.record(
                examples.a_stop(1, name="web", stopped=100.0),
                examples.a_stop(2, name="db", stopped=200.0, cause=cause.Cause.CRASHED),
                examples.a_stop(3, name="web", stopped=300.0, cause=cause.Cause.KILLED),
                examples.a_stop(4, name="other"),
            )
            runs = examples.watched(examples.a_stop(5), name="web", started=301.0)
            found.kept.remember(runs)
            found.kept.remember(examples.watched(examples.a_stop(6), name="other"))
            await journals.until(lambda: len(journals.watched(path)) == 2)

            answer = await fed.last_stops(["web", "db", "never", "\udcff"])

            assert {name: last.cause for name, last in answer.stops.items()} == {
                "web": "killed",
                "db": "crashed",
            }
            last = answer.stops["web"]
            assert (last.stopped, last.number, last.pid) == (300.0, 3, 4003)
            assert answer.running == {"web": 301.0}
            assert (answer.journal, answer.kvmd) == ("there", True)
        path.unlink()
        assert (await fed.last_stops(["web"])).journal == "none"


async def test_who_waits_hears_of_a_stop_within_milliseconds(path: Path) -> None:
    loop = asyncio.get_running_loop()
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(examples.a_stop(0))
        mark = (await _ask(fed, "end")).mark
        delays = []
        for number in range(1, 21):
            asking = asyncio.create_task(_ask(fed, mark, patience=15))
            await _all_wait(fed, 1)
            await found.record(examples.a_stop(number))
            stored = loop.time()
            answer = await asking
            delays.append(loop.time() - stored)
            assert _pids(answer) == [number + 4000]
            mark = answer.mark
        assert sorted(delays)[10] < 0.5, delays  # by looking now and then it would be seconds


async def test_many_wait_and_each_hears_of_what_it_wants(path: Path) -> None:
    with journals.observed(path) as found, _feeding(path, most=50) as fed:
        await found.record(examples.a_stop(0))
        asking = [
            asyncio.create_task(
                _ask(fed, "end", 15, wanted=stopanswers.Filter(names=(f"guest{number}",)))
            )
            for number in range(50)
        ]
        await _all_wait(fed, 50)
        await found.record(*(examples.a_stop(n + 1, name=f"guest{n}") for n in range(50)))
        for number, answer in enumerate(await asyncio.gather(*asking)):
            assert _pids(answer) == [number + 4001]


async def test_nobody_misses_a_stop_in_a_storm(path: Path) -> None:
    with journals.observed(path) as found, _feeding(path) as fed:
        seen: list[int] = []

        async def follow() -> None:
            mark: str | None = None
            while len(seen) < 600:
                answer = await _ask(fed, mark, patience=15, limit=7)
                mark = answer.mark
                seen.extend(_pids(answer))

        following_ = asyncio.create_task(follow())
        for begin in range(0, 600, 20):
            await found.record(*(examples.a_stop(n) for n in range(begin, begin + 20)))
        async with asyncio.timeout(30):
            await following_
        assert seen == [number + 4000 for number in range(600)]


async def test_where_there_is_no_journal_the_answer_says_so_and_waits_for_one(path: Path) -> None:
    with _feeding(path) as fed:
        for asked in (None, "end"):
            answer = await _ask(fed, asked)
            assert (answer.rows, answer.mark, answer.journal) == ([], None, "none")
            assert "no stop journal" in answer.trouble
        held = await _ask(fed, "ab:5", patience=0.01)
        assert (held.mark, held.journal) == ("ab:5", "none"), "it may come back"
        asking = asyncio.create_task(_ask(fed, "end", patience=15))
        await _all_wait(fed, 1)
        with journals.observed(path) as found:
            await found.record(examples.a_stop(1))
            answer = await asking
            assert (_pids(answer), answer.journal) == ([4001], "there")


async def test_a_mark_holds_over_pruning_and_says_what_was_missed(path: Path) -> None:
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(*(examples.a_stop(number) for number in range(10)))
        early, late = (await _ask(fed, limit=2)).mark, (await _ask(fed, limit=8)).mark
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM stops WHERE number <= 8")
        kept = await _ask(fed, late)
        assert (_pids(kept), kept.anew) == ([4008, 4009], "")
        missed = await _ask(fed, early, patience=15)
        assert (_pids(missed), missed.anew) == ([4008, 4009], "pruned")
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM stops")
        assert (await _ask(fed, missed.mark)).anew == ""
        assert (await _ask(fed, early)).anew == "pruned"


async def test_another_journal_in_its_place_is_told_and_read_from_its_beginning(
    path: Path,
) -> None:
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(*(examples.a_stop(number) for number in range(3)))
        mark = (await _ask(fed)).mark
        asking = asyncio.create_task(_ask(fed, mark, patience=15))
        await _all_wait(fed, 1)
        shutil.rmtree(path.parent)
        await found.record(examples.a_stop(7))
        answer = await asking
        assert answer.anew == "another journal"
        rest = await _ask(fed, answer.mark)
        assert _pids(answer) + _pids(rest) == [4007], "told as soon as it is there, or with its row"
        assert rest.anew == ""
        assert (await _ask(fed, mark)).anew == "another journal", "whoever asks, and whenever"


async def test_a_journal_of_before_ids_gets_one_and_marks_are_made_anew(path: Path) -> None:
    with journals.observed(path) as found:
        await found.record(examples.a_stop(1))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE identity")
    with _feeding(path) as fed:
        before = await _ask(fed)
        assert (_pids(before), before.mark) == ([4001], ":1")
        assert (await _ask(fed, before.mark)).anew == ""
        with journals.observed(path):
            assert (await _ask(fed, before.mark)).anew == "another journal"


async def test_a_journal_that_is_none_is_unreadable_until_it_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)
    with _feeding(path) as fed:
        answer = await _ask(fed, patience=0.01)
        assert (answer.rows, answer.mark, answer.journal) == ([], None, "unreadable")
        assert "cannot be read" in answer.trouble
        asking = asyncio.create_task(_ask(fed, patience=15))
        await _all_wait(fed, 1)
        with journals.observed(path) as found:  # sets it aside
            await found.record(examples.a_stop(1))
            assert _pids(await asking) == [4001]


async def test_illegible_rows_are_counted_and_passed(path: Path) -> None:
    with journals.observed(path) as found, _feeding(path) as fed:
        await found.record(*(examples.a_stop(number) for number in range(3)))
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE stops SET stopped = 'never' WHERE number = 2")
        answer = await _ask(fed)
        assert (_pids(answer), answer.illegible) == ([4000, 4002], 1)
        assert (await _ask(fed, answer.mark)).illegible == 0


async def test_a_wait_ends_at_its_time_and_leaves_no_place_taken(path: Path) -> None:
    with journals.observed(path), _feeding(path, most=1) as fed:
        answer = await _ask(fed, "end", patience=0.05)
        assert (answer.rows, fed.waiting) == ([], 0)
        asking = asyncio.create_task(_ask(fed, "end", patience=15))
        await _all_wait(fed, 1)
        with pytest.raises(errors.Exhausted, match="wait for stops here already"):
            await _ask(fed, "end", patience=15)
        assert (await _ask(fed, "end")).rows == [], "who does not wait needs no place"
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert fed.waiting == 0


async def test_the_end_answers_all_who_wait_and_leaves_no_thread(path: Path) -> None:
    with journals.observed(path), _feeding(path) as fed:
        asking = [asyncio.create_task(_ask(fed, "end", patience=15)) for _ in range(3)]
        await _all_wait(fed, 3)
        fed.end()
        async with asyncio.timeout(5):
            assert [answer.rows for answer in await asyncio.gather(*asking)] == [[], [], []]
            assert (await _ask(fed, "end", patience=15)).rows == []
        fed.close()
        await journals.until(lambda: not _threads())


async def test_following_ends_when_nobody_has_waited_for_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_KEPT", 0.01)
    with journals.observed(path) as found, _feeding(path) as fed:
        for number in range(3):
            asking = asyncio.create_task(_ask(fed, "end", patience=15))
            await _all_wait(fed, 1)
            await found.record(examples.a_stop(number))
            assert _pids(await asking) == [number + 4000]
            await journals.until(lambda: not _threads())


async def test_without_inotify_stops_are_found_by_looking(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching.Watch, "open", lambda self: None)
    with journals.observed(path) as found, _feeding(path) as fed:
        asking = asyncio.create_task(_ask(fed, "end", patience=15))
        await _all_wait(fed, 1)
        await found.record(examples.a_stop(1))
        assert _pids(await asking) == [4001]


async def test_a_disk_that_hangs_keeps_nobody_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_GRACE", 0.05)
    answers = threading.Event()
    made = feed.Feed(path, runs=lambda: answers.wait(20), most=1)
    try:
        for patience in (0, 0.01, 0.01):
            with pytest.raises(errors.Interrupted, match="does not answer"):
                await _ask(made, patience=patience)
            assert made.waiting == 0
        with pytest.raises(errors.Interrupted):
            await made.why("web")
        answers.set()
        monkeypatch.setattr(feed, "_GRACE", 10.0)
        assert (await _ask(made, patience=0.01)).journal == "none"
    finally:
        answers.set()
        made.close()


async def test_why_tells_of_the_last_stop_and_of_the_qemu_under_watch(path: Path) -> None:
    with _feeding(path) as fed:
        assert (await fed.why("web")).journal == "none"
        with journals.observed(path) as found:
            await found.record(examples.a_stop(1, name="web"), examples.a_stop(2, name="web"))
            again = examples.watched(examples.a_stop(3), name="web")
            found.kept.remember(again)
            await journals.until(lambda: _watched(path))
            told = await fed.why("web")
            assert told.stop is not None
            assert told.stop["pid"] == 4002
            assert told.watched is not None
            assert told.watched["pid"] == 4003
            nothing = await fed.why("nobody")
            assert (nothing.stop, nothing.watched, nothing.journal) == (None, None, "there")


def _watched(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return bool(database.execute("SELECT 1 FROM watched").fetchone())


def _threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("work-stops")]
