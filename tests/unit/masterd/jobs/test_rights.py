"""What a queue does by a right that is in doubt, or gone."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from lab import carriers
from pyganeti.base import errors
from pyganeti.masterd.jobs import queue, refusals
from pyganeti.wire.jobfile import Status


class Right:
    """One that a test takes away and gives back."""

    def __init__(self) -> None:
        self.why_not = ""
        self.is_lost = False
        self.asked = 0

    def check(self) -> None:
        if self.why_not:
            raise errors.Unavailable(self.why_not)

    async def assure(self) -> None:
        self.asked += 1
        self.check()


class Candidate:
    """One that takes copies until a test says that it is gone."""

    def __init__(self) -> None:
        self.is_there = True
        self.gone: Callable[[], None] = lambda: None
        self._is_good = asyncio.Event()

    def names(self) -> Collection[str]:
        return ["other"]

    def own(self) -> tuple[int, str]:
        return 0, "me"

    async def call(self, candidate: str, name: str, *arguments: object, timeout: float) -> Any:
        if not self.is_there:
            self._is_good.clear()
            self.gone()
            raise errors.Unavailable("it is gone")
        if str(arguments[:1]).endswith("candidates',)"):
            self._is_good.set()

    async def good(self) -> None:
        """Wait until it has been told that its copy is good."""
        async with asyncio.timeout(10):
            await self._is_good.wait()


async def test_without_the_right_nothing_is_accepted_or_begun_and_afterwards_all_goes_on(
    short_dir: Path,
) -> None:
    right, carrier = Right(), carriers.Carrier()
    async with queue.Queue(short_dir / "queue", carrier, limit=lambda: 1, right=right) as found:
        first = await found.submit([carriers.opcode("hold")])
        second = await found.submit([carriers.opcode()])
        await carrier.arrived("begin", first)
        right.why_not = "the nodes are silent"
        for asked in (
            found.submit([carriers.opcode()]),
            found.submit_many([[carriers.opcode()]]),
            found.cancel(second),
            found.change_priority(second, 5),
            found.archive(first),
            found.auto_archive(-1, 1),
            found.set_drain(drained=True),
        ):
            with pytest.raises(errors.Unavailable, match="silent"):
                await asked
        carrier.let_go(first)
        await _until_done(found, first)
        found.reconsider()
        assert await _status(found, second) is Status.QUEUED
        right.why_not = ""
        found.reconsider()
        await carrier.arrived("done", second)


async def test_a_job_whose_copy_was_not_taken_is_confirmed_unless_another_may_be_the_master(
    short_dir: Path,
) -> None:
    right, candidate = Right(), Candidate()
    bounds = queue.Bounds(copy_pauses=(0.01, 0.01))
    async with queue.Queue(
        short_dir / "queue", carriers.Carrier(), candidates=candidate, right=right, bounds=bounds
    ) as found:
        await candidate.good()
        candidate.is_there = False
        assert await found.submit([carriers.opcode()]) == 1
        assert right.asked
        await _until_done(found, 1)
        candidate.is_there = True
        await candidate.good()
        candidate.is_there = False
        candidate.gone = lambda: setattr(right, "why_not", "the nodes are silent")
        with pytest.raises(refusals.NotConfirmed, match="silent"):
            await found.submit([carriers.opcode()])
        assert await _status(found, 2) is Status.QUEUED
        candidate.is_there, right.why_not = True, ""
        found.reconsider()
        await _until_done(found, 2)


async def test_once_another_is_the_master_nothing_is_written_or_told(short_dir: Path) -> None:
    right, carrier = Right(), carriers.Carrier()
    place = short_dir / "queue"
    async with queue.Queue(place, carrier, right=right) as found:
        job = await found.submit([carriers.opcode("hold")])
        await carrier.arrived("begin", job)
        before = (place / f"job-{job}").read_bytes()
        right.is_lost, right.why_not = True, "node2 is the master"
        carrier.let_go(job)
        await carrier.arrived("done", job)
        with pytest.raises(errors.Unavailable, match="node2"):
            await found.submit([carriers.opcode()])
    assert (place / f"job-{job}").read_bytes() == before
    assert not (place / f"job-{job + 1}").exists()


async def _status(found: queue.Queue, number: int) -> Status:
    [(_, shown)] = await found.get([number])
    assert shown is not None
    return shown.job.ops[0].status


async def _until_done(found: queue.Queue, number: int) -> None:
    seen: Any = None
    while seen != [["success"], []]:
        seen = await found.wait_for_change(number, ["status"], seen and seen[0], None, 10)
        assert seen != "nochange"
