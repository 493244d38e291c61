"""The job queue by itself, without its socket: no-op jobs, those who wait for them, its start.

Jobs do nothing but begin and end, so that what is measured is what the queue adds to each: numbers,
files, syncs, scheduling, telling. The queue is on the disk of the plan.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from lab import carriers, jobs
from lab.bench import contestants, figures, runs
from pyganeti.masterd.jobs import files, queue, work
from pyganeti.wire import jobfile

MANY: Final = 500
WAITING: Final = 1000
ENDED: Final = 4990
ARCHIVED: Final = 100_000
_SINGLE: Final = 100

FIGURES: Final = (
    figures.Figure("jobs.one", "one no-op job, from submit to success, median", "ms", 10),
    figures.Figure("jobs.one.p99", "one no-op job, 99 of 100", "ms"),
    figures.Figure("jobs.many.accepted", f"{MANY} no-op jobs in one submission: accepted", "s"),
    figures.Figure("jobs.many", f"{MANY} no-op jobs in one submission: all ended", "s", 1.5),
    figures.Figure("jobs.waiting.cpu", f"{WAITING} who wait for a job: processor", "%", 0.5),
    figures.Figure("jobs.waiting", f"{WAITING} who wait for a job: all told", "ms"),
    figures.Figure("jobs.start", f"start with {ENDED} ended jobs", "s", 1),
    figures.Figure(
        "jobs.archived", f"one no-op job beside {ARCHIVED:,} archived ones, median", "ms", 10
    ),
    figures.Figure("jobs.archived.start", f"start with {ARCHIVED:,} archived jobs", "s", 0.5),
)


class _Nothing:
    """What does nothing, but in the order in which everything is done."""

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:  # noqa: ANN401 - JSON
        """Begin, and end; or wait for ever, if the opcode says so."""
        if opcode["comment"]:
            await asyncio.Event().wait()
        await run.begin()


def measure(plan: runs.Plan, results: figures.Results) -> None:
    """Measure ours. Ganeti's has no queue that could be had without its daemons."""

    def add(key: str, value: float) -> None:
        results.add(contestants.Own.title, key, value)

    for part in (_few, _waiting, _full, _archived):
        place = Path(tempfile.mkdtemp(prefix="pg-jobs-", dir=plan.disk))
        try:
            asyncio.run(part(place / "queue", add))
        finally:
            shutil.rmtree(place, ignore_errors=True)


Add = Callable[[str, float], None]


async def _few(place: Path, add: Add) -> None:
    async with queue.Queue(place, _Nothing()) as found:
        spent = [await _one(found) for _ in range(_SINGLE)]
        add("jobs.one", figures.percentile(spent, 0.5) * 1000)
        add("jobs.one.p99", figures.percentile(spent, 0.99) * 1000)
        began = time.perf_counter()
        made = await found.submit_many([[carriers.opcode()]] * MANY)
        add("jobs.many.accepted", time.perf_counter() - began)
        await jobs.ended(found, *(number for _, number in made), patience=120)
        add("jobs.many", time.perf_counter() - began)


async def _waiting(place: Path, add: Add) -> None:
    async with queue.Queue(place, _Nothing()) as found:
        number = await found.submit([carriers.opcode("wait")])
        await jobs.reach(found, number, "waiting")
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WAITING):
                tasks.create_task(found.wait_for_change(number, ["status"], ["waiting"], None, 60))
            await asyncio.sleep(0.5)
            began, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(2)
            spent = time.process_time() - used
            add("jobs.waiting.cpu", spent / (time.perf_counter() - began) * 100)
            began = time.perf_counter()
            await found.cancel(number)
        add("jobs.waiting", (time.perf_counter() - began) * 1000)


async def _full(place: Path, add: Add) -> None:
    await asyncio.to_thread(_fill, place, range(1, ENDED + 1), is_archived=False)
    async with _started(place, lambda spent: add("jobs.start", spent)):
        pass


async def _archived(place: Path, add: Add) -> None:
    await asyncio.to_thread(_fill, place, range(1, ARCHIVED + 1), is_archived=True)
    async with _started(place, lambda spent: add("jobs.archived.start", spent)) as found:
        spent = [await _one(found) for _ in range(_SINGLE)]
        add("jobs.archived", figures.percentile(spent, 0.5) * 1000)


@contextlib.asynccontextmanager
async def _started(place: Path, took: Callable[[float], None]) -> AsyncIterator[queue.Queue]:
    began = time.perf_counter()
    async with queue.Queue(place, _Nothing()) as found:
        took(time.perf_counter() - began)
        yield found


async def _one(found: queue.Queue) -> float:
    began = time.perf_counter()
    await jobs.ended(found, await found.submit([carriers.opcode()]))
    return time.perf_counter() - began


def _fill(place: Path, numbers: range, *, is_archived: bool) -> None:
    """Put ended jobs there; of archived ones, which are not read, many share a file."""
    place.mkdir()
    moment = (1795241559, 253069)
    op = jobfile.Opcode(
        carriers.opcode(),
        jobfile.Status.SUCCESS,
        start_timestamp=moment,
        exec_timestamp=moment,
        end_timestamp=moment,
    )
    written = place
    for number in numbers:
        path = place / (files.archive_name if is_archived else files.name_of)(number)
        if is_archived and number % files.JOBS_PER_ARCHIVE not in {0, 1}:
            path.hardlink_to(written)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jobfile.encode(jobfile.Job(number, (op,), moment, moment, moment)))
        written = path
    (place / "serial").write_text(f"{numbers[-1]}\n")
