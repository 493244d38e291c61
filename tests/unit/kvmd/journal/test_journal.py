# ruff: noqa: ASYNC240 - a test's loop may wait for the disk

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lab import examples, journals
from pyganeti.clients import stopjournal
from pyganeti.kvmd.journal import journal
from pyganeti.model import cause, evidence, stop

Outcome = journal.Outcome


async def record(kept: journal.Journal, *stops: stop.Stop) -> list[tuple[stop.Stop, Outcome]]:
    answers: list[tuple[stop.Stop, Outcome]] = []
    for one in stops:
        kept.record(one, lambda stored, outcome: answers.append((stored, outcome)))
    await journals.until(lambda: len(answers) == len(stops))
    return answers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kvmd" / "journal.sqlite"


@contextlib.contextmanager
def opened(
    path: Path, *, keep_rows: int = 100_000, keep_days: float = 90
) -> Iterator[journal.Journal]:
    kept = journal.Journal.open(
        path, patience=journals.SLOW_DISK, keep_rows=keep_rows, keep_days=keep_days
    )
    kept.load(examples.BOOT)
    try:
        yield kept
    finally:
        kept.close()


async def test_a_stop_is_stored_as_it_was_and_gets_a_number(path: Path) -> None:
    one = examples.a_stop()
    with opened(path) as kept:
        [(answer, outcome)] = await record(kept, one)
    assert outcome is Outcome.STORED
    assert answer == msgspec.structs.replace(one, number=answer.number)
    assert answer.number > 0
    assert journals.stored(path) == [answer]


async def test_a_known_key_is_answered_with_the_stop_of_before(path: Path) -> None:
    one = examples.a_stop()
    other = examples.a_stop(cause=cause.Cause.CRASHED, why="something else")
    with opened(path) as kept:
        [(first, _)] = await record(kept, one)
        [(again, outcome)] = await record(kept, other)
    assert outcome is Outcome.KNOWN
    assert again == first
    assert journals.stored(path) == [first]


async def test_the_same_stop_twice_at_once_is_stored_once(path: Path) -> None:
    with opened(path) as kept:
        answers = await record(kept, *[examples.a_stop()] * 5)
        assert [outcome for _, outcome in answers] == [Outcome.STORED, *[Outcome.KNOWN] * 4]
        assert kept.pending == 0
    assert len(journals.stored(path)) == 1


async def test_what_is_remembered_outlives_the_daemon(path: Path) -> None:
    event = evidence.QmpEvent(12.5, "POWERDOWN")
    guest = examples.watched(examples.a_stop(), status="paused", events=(event,), whole=False)
    with opened(path) as kept:
        kept.remember(examples.watched(examples.a_stop()))
        kept.remember(guest)
        kept.remember(examples.watched(examples.a_stop(2)))
        kept.forget(examples.a_stop(2).key)
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK)
    watched, wanted = kept.load(examples.BOOT)
    kept.close()
    assert watched == (guest,)
    assert wanted == ()


async def test_recording_ends_the_watch_and_nothing_remembered_brings_it_back(path: Path) -> None:
    one = examples.a_stop()
    with opened(path) as kept:
        kept.remember(examples.watched(one))
        recording = asyncio.create_task(record(kept, one))
        await asyncio.sleep(0)
        kept.remember(examples.watched(one))
        await recording
        kept.remember(examples.watched(one))
    with stopjournal.Reader(path) as reader:
        assert reader.watched() == []


async def test_only_markers_of_this_boot_that_are_still_wanted_are_told_at_the_start(
    path: Path,
) -> None:
    made, dropped, wanted, elsewhere = (examples.a_stop(number) for number in range(4))
    elsewhere = msgspec.structs.replace(elsewhere, boot_id="another boot")
    unmarked = examples.a_stop(5, cause=cause.Cause.KILLED)
    with opened(path) as kept:
        await record(kept, made, dropped, wanted, elsewhere, unmarked)
        kept.marker_made(made.key)
        kept.marker_dropped(dropped.key)
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK)
    _, found = kept.load(examples.BOOT)
    kept.close()
    assert [one.key for one in found] == [wanted.key]
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK)
    _, found = kept.load("another boot")
    kept.close()
    assert found == (), "it was dropped when the host had booted anew"


async def test_a_marker_made_before_its_stop_is_stored_counts(path: Path) -> None:
    one = examples.a_stop()
    with opened(path) as kept:
        kept.record(one, lambda _stop, _outcome: None)
        kept.marker_made(one.key)
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK)
    _, found = kept.load(examples.BOOT)
    kept.close()
    assert found == ()


async def test_waiting_sockets_are_those_last_told_and_not_those_of_an_earlier_run(
    path: Path,
) -> None:
    def waiting(name: str, attempts: int = 1) -> stop.Waiting:
        return stop.Waiting(socket=name, since=5.0, reason="busy", attempts=attempts)

    with opened(path) as kept:
        kept.waiting([waiting("a.kvmd"), waiting("b.kvmd"), waiting("c\udcff.kvmd")])
        kept.waiting([waiting("b.kvmd", 2), waiting("c\udcff.kvmd")])
    with stopjournal.Reader(path) as reader:
        assert reader.waiting() == [waiting("b.kvmd", 2), waiting("c\udcff.kvmd")]
    with opened(path) as kept:
        kept.waiting([waiting("d.kvmd")])
        kept.waiting([])
    with stopjournal.Reader(path) as reader:
        assert reader.waiting() == []


@pytest.mark.parametrize(
    "name", ["a b", "naïve", "名前", "\udcff\udc80", "x\ud800y", "a'b;--", "new\nline", "-"]
)
async def test_odd_names_come_back_as_they_were(path: Path, name: str) -> None:
    one = examples.a_stop(name=name, why=f"about {name}", socket=f"{name}.kvmd")
    with opened(path) as kept:
        kept.remember(examples.watched(examples.a_stop(2), name=name))
        [(answer, outcome)] = await record(kept, one)
    assert outcome is Outcome.STORED
    with stopjournal.Reader(path) as reader:
        back = reader.last(name) if "\ud800" not in name else next(reader.stops())
        assert back is not None
        if "\ud800" not in name:  # no file can have such a name
            assert (back.name, back.socket) == (answer.name, answer.socket) == (name, one.socket)
            assert reader.watched()[0].name == name


async def test_a_stop_that_cannot_be_a_row_does_not_keep_others_out(path: Path) -> None:
    impossible = examples.a_stop(1, stopped=float("nan"))
    too_large = examples.a_stop(2, pid=2**70)
    troubles: list[journal.Trouble] = []
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK, on_trouble=troubles.append)
    answers = await record(kept, impossible, too_large, examples.a_stop(3))
    kept.close()
    assert [outcome for _, outcome in answers] == [
        Outcome.PENDING,
        Outcome.PENDING,
        Outcome.STORED,
    ]
    assert kept.pending == 0, "it is not tried for ever"
    assert [one.kind for one in troubles] == [journal.TroubleKind.LOST] * 2
    assert len(journals.stored(path)) == 1


async def test_the_file_is_for_its_owner_and_group_only(path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(path) as kept:
            await record(kept, examples.a_stop())
            for name in (path, path.with_name(path.name + "-wal")):
                assert stat.S_IMODE(name.stat().st_mode) == 0o640, name
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


async def test_old_and_surplus_stops_are_pruned_and_their_numbers_not_used_again(
    path: Path,
) -> None:
    with opened(path, keep_rows=1000) as kept:
        answers = await record(kept, *(examples.a_stop(number) for number in range(2500)))
        await journals.until(lambda: len(journals.stored(path)) <= 1000)
        last = max(one.number for one, _ in answers)
        assert [one.number for one in journals.stored(path)] == list(range(last - 999, last + 1))
    with opened(path, keep_rows=0) as kept:
        old = [
            examples.a_stop(number, recorded=examples.a_stop().recorded - 100 * 86_400)
            for number in range(3000, 4001)
        ]
        answers = await record(kept, *old)
        await journals.until(lambda: not journals.stored(path))
        after = max(one.number for one, _ in answers)
    with opened(path, keep_days=90) as kept:
        assert after > last
        [(answer, _)] = await record(kept, examples.a_stop(5000))
        assert answer.number == after + 1


async def test_stops_older_than_the_days_to_keep_are_pruned(path: Path) -> None:
    now = examples.a_stop().recorded
    with opened(path, keep_days=1) as kept:
        await record(kept, *(examples.a_stop(n, recorded=now - 90_000) for n in range(600)))
        await record(kept, *(examples.a_stop(n, recorded=now) for n in range(600, 1100)))
        await journals.until(lambda: len(journals.stored(path)) == 500)


async def test_a_storm_is_stored_whole_and_each_stop_is_answered_once(path: Path) -> None:
    count = 10_000
    answered: dict[str, Outcome] = {}
    again: list[str] = []

    def done(one: stop.Stop, outcome: Outcome) -> None:
        if one.key in answered:
            again.append(one.key)
        answered[one.key] = outcome

    with opened(path) as kept:
        stops = [examples.a_stop(number) for number in range(count)]
        for one in stops:
            kept.remember(examples.watched(one))
        for one in stops:
            kept.record(one, done)
        await journals.until(lambda: len(answered) == count, 30)
        for one in stops:
            kept.marker_made(one.key)
    assert again == []
    assert set(answered.values()) == {Outcome.STORED}
    with stopjournal.Reader(path) as reader:
        assert {one.key for one in reader.stops()} == {one.key for one in stops}
        assert reader.watched() == []
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK)
    assert kept.load(examples.BOOT) == ((), ())
    kept.close()


async def test_a_callback_that_fails_takes_no_other_with_it(path: Path) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    answered: list[stop.Stop] = []

    def done(one: stop.Stop, _: Outcome) -> None:
        answered.append(one)
        if len(answered) % 2:
            raise ValueError("a fault")

    with opened(path) as kept:
        for number in range(100):
            kept.record(examples.a_stop(number), done)
        await journals.until(lambda: len(answered) == 100)
    assert len(faults) == 50


async def test_closing_answers_everybody_and_leaves_everything_on_disk(path: Path) -> None:
    answers: list[Outcome] = []
    kept = journal.Journal.open(path, patience=journals.SLOW_DISK)
    for number in range(500):
        kept.record(examples.a_stop(number), lambda _, outcome: answers.append(outcome))
    assert kept.close()
    assert answers == [Outcome.STORED] * 500
    assert len(journals.stored(path)) == 500


async def test_a_guest_that_floods_does_not_keep_another_from_being_remembered(path: Path) -> None:
    loud, quiet = examples.a_stop(1), examples.a_stop(2)
    with opened(path) as kept:

        async def flood() -> None:
            while True:
                for status in ("paused", "running"):
                    kept.remember(examples.watched(loud, status=status))
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        kept.remember(examples.watched(quiet))
        try:
            with stopjournal.Reader(path) as reader:
                await journals.until(
                    lambda: quiet.name in {guest.name for guest in reader.watched()}
                )
        finally:
            flooding.cancel()


async def test_without_anything_to_do_the_writer_sleeps(path: Path) -> None:
    with opened(path) as kept:
        await record(kept, examples.a_stop())
        log = path.with_name(path.name + "-wal")
        before = path.stat().st_mtime_ns
        await journals.until(
            lambda: path.stat().st_mtime_ns != before
        )  # the checkpoint, its last work
        assert log.exists()
        used = sum(os.times()[:2])
        await asyncio.sleep(0.5)
        assert sum(os.times()[:2]) - used < 0.05
