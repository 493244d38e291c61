"""The queue in etcd: what lies there, what is archived, and what others do to it by hand."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab import carriers, jobs
from lab.etcd import backings, etcds, proxies
from pyganeti.base import errors
from pyganeti.clients.etcd import messages
from pyganeti.masterd.backing.etcd import copies
from pyganeti.masterd.jobs import queue, refusals
from pyganeti.wire import noderpc

op = carriers.opcode


@contextlib.asynccontextmanager
async def opened(led: backings.Led, directory: Path, **settings: Any) -> AsyncIterator[jobs.Opened]:
    carrier = carriers.Carrier()
    found = queue.Queue(
        led.shelf(directory), carrier, bounds=queue.Bounds(end_patience=0.2), **settings
    )
    async with found:
        yield found, carrier


async def stored(led: backings.Led, number: int) -> dict[str, Any] | None:
    item = await led.client.get(led.keys.job(number))
    if item is None:
        return None
    found: dict[str, Any] = json.loads(item.value)
    return found


async def do(led: backings.Led, *operations: messages.Operation) -> None:
    await led.client.transact(messages.Transaction(then=operations))


async def test_a_job_is_in_etcd_before_its_number_is_told_and_so_is_each_step(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path, limit=lambda: 1) as (found, carrier):
        first = await found.submit([op("hold")])
        number = await found.submit([op("hold")])
        kept = await stored(led, number)
        assert kept is not None
        assert kept["ops"][0]["status"] == "queued"
        serial = await led.client.get(led.keys.serial)
        assert serial is not None
        assert serial.value == b"2"
        carrier.let_go(first)
        await carrier.arrived("begin", number)
        kept = await stored(led, number)
        assert kept is not None
        assert kept["ops"][0]["status"] == "running"
        carrier.let_go(number)
        assert await jobs.ended(found, number) == ["success"]
        kept = await stored(led, number)
        assert kept is not None
        assert kept["ops"][0]["result"] == [number, 0]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("job")]  # noqa: ASYNC240


async def test_an_archived_job_is_a_file_here_and_with_the_others(
    led: backings.Led, tmp_path: Path
) -> None:
    others = _Candidates()
    carrier = carriers.Carrier()
    shelf = led.shelf(tmp_path)
    sent = copies.ArchiveCopies(shelf.archived, others, patience=1)
    async with queue.Queue(shelf, carrier, copies=sent) as found:
        numbers = [await found.submit([op()]) for _ in range(3)]
        await jobs.ended(found, *numbers)
        assert await found.archive(2)
        assert await stored(led, 2) is None
        assert json.loads((tmp_path / "archive/0/job-2").read_bytes())["id"] == 2
        assert await found.auto_archive(-1, 10) == (2, 0)
        assert found.numbers == []
        assert sorted(await found.archived_numbers()) == [1, 2, 3]
        [(_, old)] = await found.get([2], archived=True)
        assert old is not None
        assert old.is_archived
        assert [n for n, job in await found.get([2]) if job] == []
    assert sorted(others.files) == [f"archive/0/job-{n}" for n in (1, 2, 3)]
    assert others.files["archive/0/job-2"] == (tmp_path / "archive/0/job-2").read_bytes()
    async with opened(led, tmp_path) as (found, _):
        assert await found.submit([op()]) == 4


async def test_a_candidate_that_does_not_answer_stops_no_archiving(
    led: backings.Led, tmp_path: Path
) -> None:
    others = _Candidates(is_down=True)
    shelf = led.shelf(tmp_path)
    sent = copies.ArchiveCopies(shelf.archived, others, patience=1)
    async with queue.Queue(shelf, carriers.Carrier(), copies=sent) as found:
        await jobs.ended(found, *[await found.submit([op()]) for _ in range(2)])
        assert await found.archive(1)
        assert await found.archive(2)
    assert others.calls == 1, "it was asked again at once"


async def test_what_is_no_job_is_set_aside_and_the_others_load(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path) as (found, _):
        await found.submit([op()])
    for number, value in (
        (2, b'{"id": 2, "ops": ['),
        (3, b""),
        (4, b"\x78garbage"),
        (5, b'{"id":9}'),
    ):
        await do(led, messages.Put(led.keys.job(number), value))
    await do(led, messages.Put(led.keys.jobs + b"012", b"no number"))
    async with opened(led, tmp_path) as (found, _):
        assert found.numbers == [1]
        assert await found.submit([op()]) == 6
    broken = await led.client.range(led.keys.broken, messages.end_of(led.keys.broken))
    assert [item.key[-1:] for item in broken.items] == [b"2", b"3", b"4", b"5"]


async def test_a_lost_serial_number_comes_from_what_is_there(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path) as (found, _):
        await jobs.ended(found, *[await found.submit([op()]) for _ in range(3)])
        await found.archive(3)
    await do(led, messages.Delete(led.keys.serial))
    async with opened(led, tmp_path) as (found, _):
        assert await found.submit([op()]) == 4
    await do(led, messages.Put(led.keys.serial, b"garbage"))
    async with opened(led, tmp_path) as (found, _):
        assert await found.submit([op()]) == 5


async def test_a_job_that_somebody_takes_out_of_etcd_is_gone(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path, limit=lambda: 1) as (found, carrier):
        runs, queued, ended = [await found.submit([op(w)]) for w in ("hold", "", "")]
        await carrier.arrived("begin", runs)
        await do(led, messages.Delete(led.keys.job(queued)))
        async with asyncio.timeout(10):
            while queued in found.numbers:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)
        await do(led, messages.Delete(led.keys.job(runs)))
        carrier.let_go(runs)
        await jobs.ended(found, ended)
        assert found.numbers == [ended]
        assert carrier.done("begin") == [runs, ended]
        await do(led, messages.Delete(led.keys.job(ended)))
        async with asyncio.timeout(10):
            while found.numbers:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)
    assert await stored(led, runs) is None


async def test_a_job_that_somebody_put_there_is_not_overwritten(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path) as (found, _):
        await do(led, messages.Put(led.keys.job(1), b"theirs"))
        told = await found.submit_many([[op()], [op()]])
        assert told[0][0] is False
        assert "a job 1 already" in told[0][1]
        assert told[1] == [True, 2]
        assert await found.submit([op()]) == 3
    item = await led.client.get(led.keys.job(1))
    assert item is not None
    assert item.value == b"theirs"


async def test_many_jobs_at_once_are_all_there(led: backings.Led, tmp_path: Path) -> None:
    async with opened(led, tmp_path) as (found, _):
        told = await found.submit_many([[op()] for _ in range(350)])
        assert told == [[True, number] for number in range(1, 351)]
        assert set(await jobs.ended(found, *range(1, 351))) == {"success"}
    async with opened(led, tmp_path) as (found, _):
        assert found.numbers == list(range(1, 351))


async def test_a_log_beyond_measure_keeps_its_ends_and_says_so(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path) as (found, carrier):
        carrier.talk = [f"line {n} {'x' * 200}" for n in range(5000)]
        number = await found.submit([op("talk")])
        assert await jobs.ended(found, number) == ["success"]
    item = await led.client.get(led.keys.job(number))
    assert item is not None
    assert len(item.value) < messages.MOST_BYTES / 4
    async with opened(led, tmp_path) as (found, _):
        [(_, job)] = await found.get([number])
        assert job is not None
        log = job.job.ops[0].log
        assert log[0][3].startswith("line 0 ")
        assert log[-1][3].startswith("line 4999 ")
        assert [e[3] for e in log if "lines are left out" in e[3]]
        assert [e[0] for e in log] == sorted(e[0] for e in log)


async def test_a_job_that_is_too_long_is_refused(led: backings.Led, tmp_path: Path) -> None:
    noise = os.urandom(1 << 21).hex()
    async with opened(led, tmp_path) as (found, _):
        with pytest.raises(refusals.JobQueueError, match="more than etcd takes"):
            await found.submit([op(noise)])
        assert await found.submit([op()]) == 2


async def test_the_drain_flag_is_in_etcd(led: backings.Led, tmp_path: Path) -> None:
    async with opened(led, tmp_path) as (found, _):
        await found.set_drain(drained=True)
        assert await led.client.get(led.keys.drain) is not None
    async with opened(led, tmp_path) as (found, _):
        assert found.is_drained
        with pytest.raises(refusals.JobQueueDrainError):
            await found.submit([op()])
        await found.set_drain(drained=False)
        assert await led.client.get(led.keys.drain) is None
        await found.submit([op()])


async def test_two_masters_of_one_node_cannot_have_one_queue(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path):
        with pytest.raises(errors.AlreadyRunning):
            async with opened(led, tmp_path):
                pytest.fail("two have the queue")
        with pytest.raises(errors.AlreadyRunning):
            async with queue.Queue(tmp_path, carriers.Carrier()):
                pytest.fail("two have the queue")


async def test_who_leads_no_more_accepts_nothing_and_writes_nothing(
    led: backings.Led, tmp_path: Path
) -> None:
    async with opened(led, tmp_path / "one") as (found, carrier):
        number = await found.submit([op("hold")])
        await carrier.arrived("begin", number)
        other = await led.depose()
        with pytest.raises(refusals.JobQueueError, match="node2 does"):
            await found.submit([op()])
        carrier.let_go(number)
        await carrier.arrived("done", number)
    kept = await stored(led, number)
    assert kept is not None
    assert kept["ops"][0]["status"] == "running"
    next_one = backings.Led(led.client, led.keys, other)
    async with opened(next_one, tmp_path / "two") as (found, carrier):
        assert await jobs.ended(found, number) == ["error"]
        assert await found.submit([op()]) == 2
        assert "Interrupted" in str(await jobs.result(found, number))


async def test_a_job_whose_answer_is_lost_is_refused_and_never_carried_out(
    etcd: etcds.Etcd, tmp_path: Path
) -> None:
    prefix = backings.fresh_prefix()
    async with (
        proxies.line(etcd.member) as line,
        backings.led(etcd, prefix) as whole,
        backings.led(etcd, prefix, line.endpoint, attempt=0.2) as hurt,
    ):
        shelf = hurt.shelf(tmp_path)
        shelf.patience = 0.6
        carrier = carriers.Carrier()
        async with queue.Queue(shelf, carrier) as found:
            assert await found.submit([op("hold")]) == 1
            await carrier.arrived("begin", 1)
            line.deafen()
            with pytest.raises(refusals.JobQueueError, match="look for it before you submit"):
                await found.submit([op()])
            assert await stored(whole, 2) is not None, "it did not arrive"
            line.heal()
            async with asyncio.timeout(10):
                while await stored(whole, 2) is not None:  # noqa: ASYNC110 - it is in etcd
                    await asyncio.sleep(0.02)
            carrier.let_go(1)
            assert await jobs.ended(found, 1) == ["success"]
            assert await found.submit([op()]) == 3
            assert await jobs.ended(found, 3) == ["success"]
            assert carrier.done("begin") == [1, 3]


class _Candidates:
    """Two nodes that keep copies as node daemons do; one set of files for both."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.calls = 0
        self._is_down = is_down

    def own(self) -> tuple[int, str]:
        return 1, "node1"

    def names(self) -> list[str]:
        return ["node2"]

    async def call(self, candidate: str, name: str, *arguments: Any, timeout: float) -> Any:
        self.calls += 1
        if self._is_down:
            raise errors.Unavailable(f"{candidate} does not take connections")
        prefix = "/var/lib/ganeti/queue/"
        if name == "jobqueue_update":
            path, blob = arguments
            self.files[path.removeprefix(prefix)] = noderpc.decode_blob(blob)
        else:
            assert name == "jobqueue_rename"
            for old, new in arguments[0]:
                self.files[new.removeprefix(prefix)] = self.files.pop(old.removeprefix(prefix))
