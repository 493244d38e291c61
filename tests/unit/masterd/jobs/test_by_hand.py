"""An operator moves and deletes jobs with mv and rm: nothing breaks, nothing comes back."""

import asyncio
from pathlib import Path

import pytest

from lab import carriers, jobs
from pyganeti.masterd.jobs import queue, refusals

op = carriers.opcode


async def gone(found: queue.Queue, number: int) -> None:
    """Wait until the queue has noticed that a job is not there."""
    async with asyncio.timeout(10):
        while number in found.numbers:  # noqa: ASYNC110 - the kernel tells the queue, not us
            await asyncio.sleep(0.001)


async def test_a_queued_one_that_is_deleted_never_runs(opened: jobs.Opening, place: Path) -> None:
    async with opened(limit=lambda: 1) as (found, carrier):
        made = await found.submit_many(
            [[op("hold")], [op()], [op(depends=[[-1, ["success"]]])], [op()]]
        )
        first, deleted, dependent, last = [n for _, n in made]
        await carrier.arrived("begin", first)
        waiter = asyncio.create_task(
            found.wait_for_change(deleted, ["status"], ["queued"], None, 10)
        )
        await asyncio.sleep(0)
        (place / f"job-{deleted}").unlink()
        with pytest.raises(refusals.JobLost):
            await waiter
        assert await jobs.state(found, deleted) == "lost"
        assert (await found.cancel(deleted))[0] is False
        carrier.let_go(first)
        assert await jobs.ended(found, dependent, last) == ["error", "success"]
        assert deleted not in carrier.done("begin")
    assert not (place / f"job-{deleted}").exists()
    async with opened() as (found, carrier):
        assert await found.submit([op()]) == last + 1
        await jobs.ended(found, last + 1)
        assert deleted not in carrier.done("begin")


async def test_a_waiting_one_that_is_moved_away_stops_waiting(
    opened: jobs.Opening, place: Path, tmp_path: Path
) -> None:
    async with opened() as (found, carrier):
        holder = await found.submit([op("hold lock=i")])
        await carrier.arrived("begin", holder)
        moved = await found.submit([op("lock=i")])
        await carrier.arrived("wait", moved)
        (place / f"job-{moved}").rename(tmp_path / "elsewhere")
        await gone(found, moved)
        assert [row.pending for row in carrier.locks.describe()] == [[]]
        carrier.let_go(holder)
        await jobs.ended(found, holder)
    assert carrier.done("begin") == [holder]
    assert not (place / f"job-{moved}").exists()


async def test_a_running_one_that_is_deleted_ends_and_is_not_written_again(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened() as (found, carrier):
        number = await found.submit([op("hold log=hello"), op()])
        await carrier.arrived("begin", number)
        (place / f"job-{number}").unlink()
        assert await jobs.state(found, number) == "running"
        carrier.let_go(number)
        await carrier.arrived("done", number)
        await gone(found, number)
        with pytest.raises(refusals.JobLost):
            await found.wait_for_change(number, ["status"], None, None, 1)
    assert not (place / f"job-{number}").exists()
    assert carrier.done("begin") == [number]


async def test_an_ended_one_that_is_archived_by_hand_is_found_there(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened() as (found, _):
        one, two = [n for _, n in await found.submit_many([[op()], [op()]])]
        await jobs.ended(found, one, two)
        (place / "archive/0").mkdir(parents=True)
        (place / f"job-{one}").rename(place / f"archive/0/job-{one}")
        (place / f"job-{two}").unlink()
        await gone(found, one)
        await gone(found, two)
        [(_, archived), (_, deleted)] = await found.get([one, two], archived=True)
        assert archived is not None
        assert archived.is_archived
        assert deleted is None
        assert not await found.archive(one)
        assert await found.auto_archive(-1, 10) == (0, 0)
        # and back again
        (place / f"archive/0/job-{one}").rename(place / f"job-{one}")
        [(_, back)] = await found.get([one])
        assert back is not None
        assert await found.archive(one)


async def test_the_whole_directory_may_be_emptied(opened: jobs.Opening, place: Path) -> None:
    async with opened(limit=lambda: 2) as (found, carrier):
        made = await found.submit_many([[op("hold")], [op("wait")], [op()], [op()]])
        runs, waits, *_ = [n for _, n in made]
        await carrier.arrived("begin", runs)
        await carrier.arrived("wait", waits)
        for _, number in made:
            (place / f"job-{number}").unlink()
        carrier.let_go(runs)
        for _, number in made:
            await gone(found, number)
        number = await found.submit([op()])
        assert number == 5
        assert await jobs.ended(found, number) == ["success"]
    assert carrier.done("begin") == [runs, number]


async def test_a_drain_flag_made_by_hand_counts(opened: jobs.Opening, place: Path) -> None:
    async with opened() as (found, _):
        (place / "drain").touch()
        with pytest.raises(refusals.JobQueueDrainError):
            await found.submit([op()])
        (place / "drain").unlink()
        assert await found.submit([op()]) == 1
