"""Having jobs carried out: so many at a time, the best first; stopping them; the end of each."""

import asyncio
from collections.abc import Callable
from typing import Final

from pyganeti.base import log
from pyganeti.masterd.jobs import (
    admission,
    board,
    elsewhere,
    files,
    lifecycle,
    moments,
    recovery,
    refusals,
    running,
    tracked,
    work,
)
from pyganeti.wire.jobfile import Status

_LOG = log.get(__name__)

_CANCEL_PATIENCE: Final = 45.0
"""Seconds after which who cancels is told how far that is."""


class Dispatcher:
    """Carries out the jobs of a board."""

    def __init__(
        self,
        jobs: board.Board,
        others: elsewhere.Elsewhere,
        admitting: admission.Admission,
        carrier: work.Work,
        limit: Callable[[], int],
        tasks: asyncio.TaskGroup,
        around: running.Surroundings,
    ) -> None:
        self._board = jobs
        self._elsewhere = others
        self._admission = admitting
        self._carrier = carrier
        self._limit = limit
        self._tasks = tasks
        self._around = around
        self._carried: dict[int, asyncio.Task[None]] = {}

    def start_jobs(self) -> None:
        """Begin as many jobs as may be."""
        if self._admission.have_changed():
            self._go_by_new_rules()
        if not self._around.may_begin():
            return
        held_back = []
        while not self._around.is_closing() and len(self._carried) < max(1, self._limit()):
            number = self._board.schedule.take()
            if number is None:
                break
            job = self._board.under_way[number]
            verdict = self._admission.enter(job.job)
            if verdict is admission.Verdict.BEGIN:
                task = self._tasks.create_task(self._carry(job), name=f"job {number}")
                self._carried[number] = task
            elif verdict is admission.Verdict.REJECT:
                self._reject(job)
            else:
                held_back.append(number)
        for number in held_back:
            job = self._board.under_way[number]
            self._board.schedule.add(number, lifecycle.priority(job.job), ())

    def _go_by_new_rules(self) -> None:
        for job in list(self._board.under_way.values()):
            if job.job.id in self._board.schedule and self._admission.is_rejected(job.job):
                self._board.schedule.remove(job.job.id)
                self._reject(job)

    def _reject(self, job: tracked.Tracked) -> None:
        """Cancel a job that is queued no more, because a filter rule says so."""
        _LOG.info("a job is canceled by a filter rule", job=job.job.id)
        job.job = lifecycle.cancel(job.job, moments.split(self._around.clock()))
        self._tasks.create_task(self._conclude(job), name=f"end of job {job.job.id}")

    def take_up(self, job: tracked.Tracked) -> None:
        """Go on with a job that was found, and that nobody else carries out."""
        before, now = job.job, moments.split(self._around.clock())
        job.job = recovery.recover(before, now)
        if not lifecycle.is_ended(job.job):
            job.tell()
            self._board.add(job)
            return
        self._board.watch(job)
        if before is job.job:
            job.tell()
            self._board.end(job)
            return
        _LOG.warning(
            "a job had not ended",
            job=job.job.id,
            was=lifecycle.status(before).value,
            now=lifecycle.status(job.job).value,
        )
        self._tasks.create_task(self._conclude(job), name=f"end of job {job.job.id}")

    def drop(self, job: tracked.Tracked) -> None:
        """Give a job up whose file somebody took away; one that runs is not disturbed."""
        number = job.job.id
        job.is_removed = True
        _LOG.warning("a job was taken away by hand", job=number, status=lifecycle.status(job.job))
        if number not in self._carried:
            self._board.end(job)
            self.start_jobs()
        elif job.performing is not None and lifecycle.status(job.job) is not Status.RUNNING:
            job.performing.cancel()

    async def cancel(self, job: tracked.Tracked, *, kill: bool) -> tuple[bool, str]:
        """Cancel a job; return whether it was, and what happened, in words."""
        number = job.job.id
        if self._elsewhere.has(number):
            return False, f"Job {number} is carried out by another process"
        if number not in self._carried:
            if lifecycle.is_ended(job.job):  # since it was looked up, or its end is being written
                return await self._canceled(job)
            self._board.schedule.remove(number)
            job.job = lifecycle.cancel(job.job, moments.split(self._around.clock()))
            await self._conclude(job)
            return True, f"Job {number} was canceled before it began"
        if lifecycle.status(job.job) is not Status.RUNNING:
            job.job = lifecycle.request_cancel(job.job)
            job.tell()
            job.store_soon()
        elif not kill:
            return False, f"Job {number} is running, and was left alone"
        else:
            job.is_killed = True
        if job.performing is not None:
            job.performing.cancel()
        return await self._canceled(job)

    async def close(self, patience: float) -> None:
        """Begin nothing more; let what runs end in time, and break off what does not."""
        for number in list(self._carried):
            job = self._board.under_way[number]
            if job.performing is not None and lifecycle.status(job.job) is not Status.RUNNING:
                job.performing.cancel()
        await self._wait(patience)
        for number in list(self._carried):
            job = self._board.under_way[number]
            if job.performing is not None:
                _LOG.warning("a running job is broken off", job=number)
                job.performing.cancel()
        await self._wait(patience)
        for number, task in list(self._carried.items()):
            _LOG.error("a job does not end", job=number)
            task.cancel()

    async def _wait(self, patience: float) -> None:
        if self._carried:
            await asyncio.wait(list(self._carried.values()), timeout=patience)

    async def _carry(self, job: tracked.Tracked) -> None:
        number = job.job.id
        try:
            await running.carry_out(job, self._carrier, self._around)
        except refusals.JobQueueError as error:  # the queue is closed, and the disk did not take it
            _LOG.error("how a job ended could not be written", job=number, reason=str(error))
        except Exception:  # noqa: BLE001 - the task's top frame: a defect in here ends this job only
            _LOG.exception("a job could not be carried out", job=number)
            await self._end_of_defect(job)
        finally:
            del self._carried[number]
            self._admission.leave(number)
            if job.is_removed or lifecycle.is_ended(job.job):
                self._board.end(job)
            self.start_jobs()

    async def _end_of_defect(self, job: tracked.Tracked) -> None:
        index = lifecycle.current(job.job)
        if index is not None:
            now = moments.split(self._around.clock())
            job.job = recovery.interrupted(job.job, index, "of a defect in the queue", now)
        try:
            await job.store()
        except (files.Removed, refusals.JobQueueError) as error:
            _LOG.error("its end could not be written", job=job.job.id, reason=str(error))

    async def _conclude(self, job: tracked.Tracked) -> None:
        """Have it written that a job has ended which was not begun here."""
        try:
            await job.store()
        except (files.Removed, refusals.JobQueueError) as error:
            _LOG.warning("a job's end is not written", job=job.job.id, reason=str(error))
        self._board.end(job)
        self.start_jobs()

    async def _canceled(self, job: tracked.Tracked) -> tuple[bool, str]:
        number = job.job.id
        try:
            async with asyncio.timeout(_CANCEL_PATIENCE):
                await job.has_ended.wait()
        except TimeoutError:
            return False, f"Job {number} is still {lifecycle.status(job.job).value}"
        if job.is_removed:
            return refusals.not_found(number)
        state = lifecycle.status(job.job)
        if state is Status.CANCELED:
            return True, f"Job {number} was canceled"
        if job.is_killed and state is Status.ERROR:
            return True, f"Job {number} was stopped while it was running"
        return False, f"Job {number} had ended before: {state.value}"
