"""An etcd that goes, stands still, is full or forgets: reads go on, writes are refused in time."""

import asyncio
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab import carriers, configurations, jobs
from lab.etcd import backings, etcds, proxies
from pyganeti.base import errors
from pyganeti.clients.etcd import messages
from pyganeti.masterd.backing.etcd import store
from pyganeti.masterd.config import draft, state
from pyganeti.masterd.jobs import queue, refusals
from pyganeti.model.config import entries

op = carriers.opcode
HELD = entries.from_snapshot(configurations.of(4))
PATIENCE = 0.8
SLACK = 1.5
"""Seconds that a busy machine may take longer."""


@pytest.fixture(scope="module")
def three() -> Iterator[etcds.Etcd]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here(3) as running:
        yield running


@pytest.fixture(scope="module")
def small() -> Iterator[etcds.Etcd]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here(quota=etcds.SMALL) as running:
        yield running


class Open:
    """A queue and a configuration that are open, in one etcd."""

    def __init__(
        self, led: backings.Led, found: queue.Queue, carrier: carriers.Carrier, config: state.Config
    ) -> None:
        self.led = led
        self.queue = found
        self.carrier = carrier
        self.config = config

    async def begun(self, words: str = "hold") -> int:
        number = await self.queue.submit([op(words)])
        await self.carrier.arrived("begin", number)
        return number

    async def stored(self, number: int) -> str | None:
        item = await self.led.client.get(self.led.keys.job(number))
        return None if item is None else str(json.loads(item.value)["ops"][0]["status"])

    async def refuses(self, words: str) -> None:
        began = time.monotonic()
        with pytest.raises(refusals.JobQueueError, match=words):
            await self.queue.submit([op()])
        with pytest.raises((errors.Unavailable, errors.Exhausted), match=words):
            await self.config.change(draft.Draft.allocate_port)
        assert time.monotonic() - began < 6 * PATIENCE + SLACK

    async def accepts(self) -> None:
        number = 0
        async with asyncio.timeout(20):
            while not number:
                try:
                    await self.config.change(draft.Draft.allocate_port)
                    number = await self.queue.submit([op()])
                except errors.Failure:
                    await asyncio.sleep(0.05)
        assert await jobs.ended(self.queue, number) == ["success"]


@contextlib.asynccontextmanager
async def opened(
    etcd: etcds.Etcd, place: Path, *endpoints: str, prefix: str = ""
) -> AsyncIterator[Open]:
    async with backings.led(etcd, prefix, *endpoints, attempt=0.3) as led:
        shelf, kept = led.shelf(place), led.store()
        shelf.patience = kept.patience = PATIENCE
        await kept.create(HELD)
        carrier = carriers.Carrier()
        bounds = queue.Bounds(end_patience=0.2)
        async with (
            state.opened(kept) as config,
            queue.Queue(shelf, carrier, bounds=bounds) as found,
        ):
            yield Open(led, found, carrier, config)


async def test_without_a_majority_reads_go_on_and_writes_are_refused_until_there_is_one(
    three: etcds.Etcd, tmp_path: Path
) -> None:
    async with opened(three, tmp_path) as cluster:
        ended = await cluster.queue.submit([op()])
        await jobs.ended(cluster.queue, ended)
        runs = await cluster.begun()
        serial = cluster.config.current.serial_no
        for member in three.members[:2]:
            member.kill()
        await cluster.refuses("etcd")
        assert await jobs.state(cluster.queue, ended) == "success"
        assert await jobs.state(cluster.queue, runs) == "running"
        assert cluster.config.current.serial_no == serial
        cluster.carrier.let_go(runs)
        await cluster.carrier.arrived("done", runs)
        three.start()
        assert await jobs.ended(cluster.queue, runs) == ["success"]
        assert await cluster.stored(runs) == "success"
        await cluster.accepts()
        assert cluster.config.current.serial_no > serial


async def test_a_member_that_goes_or_stands_still_is_not_missed(
    three: etcds.Etcd, tmp_path: Path
) -> None:
    async with opened(three, tmp_path) as cluster:
        for member in three.members:
            member.pause()
            await cluster.accepts()
            member.resume()
            member.kill()
            await cluster.accepts()
            member.start(three.members)
        assert cluster.led.client.counts.changes_of_member > 0


async def test_an_etcd_that_stands_still_loses_nothing(three: etcds.Etcd, tmp_path: Path) -> None:
    async with opened(three, tmp_path) as cluster:
        runs = await cluster.begun()
        with three.frozen():
            await cluster.refuses("etcd")
        await cluster.accepts()
        cluster.carrier.let_go(runs)
        assert await jobs.ended(cluster.queue, runs) == ["success"]
        begun = cluster.carrier.done("begin")
        assert len(begun) == len(set(begun))
        there = set(cluster.queue.numbers)
        found = await cluster.led.client.range(
            cluster.led.keys.jobs, messages.end_of(cluster.led.keys.jobs)
        )
        assert {cluster.led.keys.number(item.key) for item in found.items} == there


async def test_a_full_etcd_refuses_and_gives_room_by_archiving(
    small: etcds.Etcd, tmp_path: Path
) -> None:
    async with opened(small, tmp_path) as cluster:
        ended = await cluster.queue.submit([op()])
        await jobs.ended(cluster.queue, ended)
        runs = await cluster.begun()
        with small.full():
            await cluster.refuses("etcd has no room left")
            cluster.carrier.let_go(runs)
            await cluster.carrier.arrived("done", runs)
            assert await jobs.state(cluster.queue, runs) == "running", "told before it lasts"
            assert await cluster.queue.archive(ended)
        assert await jobs.ended(cluster.queue, runs) == ["success"]
        await cluster.accepts()


async def test_a_forgotten_past_is_read_anew(small: etcds.Etcd, tmp_path: Path) -> None:
    async with (
        proxies.line(small.member) as line,
        backings.led(small) as whole,
        opened(small, tmp_path, line.endpoint, prefix=whole.keys.root.decode()) as cluster,
    ):
        numbers = [await cluster.queue.submit([op()]) for _ in range(3)]
        await jobs.ended(cluster.queue, *numbers)
        line.cut()
        gone = messages.Delete(cluster.led.keys.job(2))
        await whole.client.transact(messages.Transaction(then=[gone]))
        await asyncio.to_thread(small.compact)
        line.heal()
        async with asyncio.timeout(10):
            while 2 in cluster.queue.numbers:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.02)
        assert cluster.queue.numbers == [1, 3]
        await cluster.accepts()


async def test_a_stuttering_etcd_is_asked_more_than_once_and_does_everything_once(
    small: etcds.Etcd, tmp_path: Path
) -> None:
    async def stutter() -> None:
        try:
            while True:
                small.member.pause()
                await asyncio.sleep(0.4)  # longer than an attempt, shorter than the patience
                small.member.resume()
                await asyncio.sleep(0.05)
        finally:
            small.member.resume()

    async with opened(small, tmp_path) as cluster:
        stuttering = asyncio.create_task(stutter())
        accepted: list[int] = []
        for _ in range(6):
            told = await cluster.queue.submit_many([[op(), op()] for _ in range(4)])
            accepted += [number for is_accepted, number in told if is_accepted]
            with contextlib.suppress(errors.Unavailable):
                await cluster.config.change(draft.Draft.allocate_port)
        states = await jobs.ended(cluster.queue, *accepted, patience=40)
        stuttering.cancel()
        await asyncio.wait({stuttering})
        assert set(states) <= {"success"}
        done = [(n, i) for what, n, i in cluster.carrier.record if what == "done"]
        assert sorted(done) == sorted((n, i) for n in accepted for i in (0, 1))
        await cluster.accepts()
        found = await cluster.led.client.range(
            cluster.led.keys.jobs, messages.end_of(cluster.led.keys.jobs)
        )
        assert {cluster.led.keys.number(item.key) for item in found.items} == set(
            cluster.queue.numbers
        )
        stored = entries.to_snapshot((await store.find(cluster.led.client, cluster.led.keys)).held)
        assert stored == cluster.config.current
        assert cluster.led.client.counts.changes_of_member > 0, "nothing was asked twice"


async def test_an_etcd_that_was_set_back_ends_the_leadership_and_keeps_what_is_there(
    small: etcds.Etcd, tmp_path: Path
) -> None:
    told: list[str] = []
    async with backings.led(small) as led:
        right = dataclasses.replace(led.fence, lose=told.append)
        shelf = backings.Led(led.client, led.keys, right).shelf(tmp_path)
        async with queue.Queue(
            shelf, carriers.Carrier(), bounds=queue.Bounds(end_patience=0.1)
        ) as found:
            await jobs.ended(found, await found.submit([op()]))
            await asyncio.to_thread(small.save, tmp_path / "snapshot")
            await jobs.ended(found, await found.submit([op()]))
            await asyncio.to_thread(small.restore, tmp_path / "snapshot")
            with pytest.raises(refusals.JobQueueError, match="etcd was set back"):
                await found.submit([op()])
            assert told
        async with queue.Queue(led.shelf(tmp_path), carriers.Carrier()) as found:
            assert found.numbers == [1]
            assert await jobs.ended(found, await found.submit([op()])) == ["success"]


async def test_a_restart_in_the_middle_of_many_jobs_loses_none_and_repeats_none(
    small: etcds.Etcd, tmp_path: Path
) -> None:
    async with opened(small, tmp_path) as cluster:
        told = await cluster.queue.submit_many([[op(), op()] for _ in range(60)])
        await asyncio.to_thread(small.restart)
        numbers = [number for _, number in told]
        assert set(await jobs.ended(cluster.queue, *numbers)) == {"success"}
        done = [(n, i) for what, n, i in cluster.carrier.record if what == "done"]
        assert sorted(done) == [(n, i) for n in numbers for i in (0, 1)]
        assert {await cluster.stored(number) for number in numbers} == {"success"}
