"""Carrying a job out: its opcodes one after the other, each written down before and after.

For each opcode: what it depends on is looked at; it waits, and `work.Work` takes its locks; it
begins, which is on the disk before anything is done; its result is on the disk before anybody sees
it. A daemon that is killed at any point of this finds the job either as not begun, or as running,
or as ended, and never does an opcode twice.

Whatever the work raises ends in the opcode's result, under its name on the wire. It is never
stopped after it has begun, unless somebody insists, or the daemon ends and it does not by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import (
    files,
    lifecycle,
    moments,
    recovery,
    refusals,
    submission,
    tracked,
    work,
)
from pyganeti.wire import jobfile, names
from pyganeti.wire.jobfile import Status

_LOG = log.get(__name__)

_WAITS_LONG: Final = 0.2
"""Seconds of waiting after which it is worth a write that the job waits."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a job needs of the queue."""

    clock: moments.Clock
    livelock: str | None
    process_id: int
    aging: float
    """Seconds of waiting after which a priority improves by one."""
    state_of: Callable[[int], Awaitable[Status | None]]
    """How a job, on which another depends, has ended; None if it is not there."""
    submit: Callable[[list[list[dict[str, Any]]]], Awaitable[list[list[Any]]]]
    reprioritized: Callable[[], None]
    is_closing: Callable[[], bool]
    may_begin: Callable[[], bool]
    """Whether jobs may be begun now; those that have begun go on."""


class Running:
    """One opcode of a job being carried out: what the work sees."""

    def __init__(self, job: tracked.Tracked, index: int, around: Surroundings) -> None:
        self._tracked = job
        self._around = around
        self.job_id: Final = job.job.id
        self.index: Final = index

    @property
    def priority(self) -> int:
        """The current priority."""
        return self._op.priority

    @property
    def reason(self) -> list[Any]:
        """The reason trail."""
        return list(self._op.input.get("reason") or [])

    async def begin(self) -> None:
        """Have it written down that the opcode runs."""
        job = self._tracked
        if self._op.status is Status.RUNNING:
            return
        if self._op.status is not Status.WAITING or job.is_removed:
            raise errors.Interrupted(f"job {self.job_id} was canceled")
        job.job = lifecycle.begin(
            job.job,
            self.index,
            moments.split(self._around.clock()),
            self._around.livelock,
            self._around.process_id,
        )
        try:
            await job.store()
        except files.Removed as error:
            raise errors.Interrupted(f"job {self.job_id} was removed") from error

    def log(self, text: Any, kind: str = "message") -> None:  # noqa: ANN401 - JSON
        """Tell those who follow the job something."""
        try:
            text = jobfile.plain(text)
        except errors.BadInput:
            text = names.readable(str(text))
        self._tracked.log(self.index, moments.split(self._around.clock()), kind, text)

    async def submit(self, jobs: list[list[dict[str, Any]]]) -> list[list[Any]]:
        """Submit further jobs."""
        op = self._op
        return await self._around.submit(submission.inherit(jobs, op.input, op.priority))

    @property
    def _op(self) -> jobfile.Opcode:
        return self._tracked.job.ops[self.index]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How the work ended: a result, an error in its wire form, or that it was stopped."""

    result: Any = None
    error: list[Any] | None = None
    is_stopped: bool = False


async def carry_out(job: tracked.Tracked, carrier: work.Work, around: Surroundings) -> None:
    """Do what is left of a job; return when its end is on the disk.

    It also returns if the job's file was removed, and if the daemon ends before the job has begun
    what is next in it: then it is as it was.
    """
    with log.bind(job=job.job.id):
        try:
            while (index := lifecycle.current(job.job)) is not None:
                if lifecycle.status(job.job) is Status.CANCELING:
                    job.job = lifecycle.cancel(job.job, moments.split(around.clock()))
                    await job.store()
                    return
                if around.is_closing() or job.is_removed:
                    return
                await _carry_out_opcode(job, index, carrier, around)
        except files.Removed:
            _LOG.warning("a job's file is gone, and with it the job")


async def _carry_out_opcode(
    job: tracked.Tracked, index: int, carrier: work.Work, around: Surroundings
) -> None:
    job.job = lifecycle.wait(job.job, index, moments.split(around.clock()))
    job.tell()
    job.store_soon(_WAITS_LONG)
    outcome = await _met_dependencies(job, index, around)
    if outcome is None and job.job.ops[index].status is Status.WAITING and not job.is_removed:
        run = Running(job, index, around)
        job.performing = asyncio.create_task(
            _perform(carrier, job.job.ops[index].input, run), name=f"job-{job.job.id}"
        )
        aging = asyncio.create_task(_age(job, index, around))
        try:
            await asyncio.wait({job.performing})
            if not job.performing.cancelled():  # which it is if it was before its first step
                outcome = job.performing.result()
        finally:
            aging.cancel()
            job.performing.cancel()
            job.performing = None
    if _end(job, index, outcome or _Outcome(is_stopped=True), around):
        await job.store()


async def _perform(carrier: work.Work, opcode: dict[str, Any], run: Running) -> _Outcome:
    try:
        result = await carrier.perform(opcode, run)
        return _Outcome(result=jobfile.plain(result))
    except asyncio.CancelledError:
        return _Outcome(is_stopped=True)
    except errors.Failure as error:
        _LOG.info("an opcode failed", opcode=opcode.get("OP_ID"), reason=str(error))
        return _Outcome(error=refusals.encode(error))
    except Exception as error:  # noqa: BLE001 - the task's top frame: a defect ends this job only
        _LOG.exception("an opcode failed unexpectedly", opcode=opcode.get("OP_ID"))
        return _Outcome(error=refusals.encode(error))


def _end(job: tracked.Tracked, index: int, outcome: _Outcome, around: Surroundings) -> bool:
    """Decide what an opcode's end means for its job; return whether that is to be written."""
    op = job.job.ops[index]
    now = moments.split(around.clock())
    if op.status is Status.CANCELING:
        job.job = lifecycle.cancel(job.job, now)
    elif outcome.error is not None:
        job.job = lifecycle.fail(job.job, index, outcome.error, now)
    elif not outcome.is_stopped:
        job.job = lifecycle.succeed(job.job, index, outcome.result, now)
    elif job.is_killed:
        job.job = recovery.interrupted(job.job, index, "somebody insisted on canceling it", now)
    elif not around.is_closing():
        job.job = recovery.interrupted(job.job, index, "it was stopped by a defect", now)
    elif op.status is Status.RUNNING:
        job.job = recovery.interrupted(job.job, index, "the master daemon ended", now)
    else:
        job.job = lifecycle.requeue(job.job)
        return False
    return True


async def _met_dependencies(
    job: tracked.Tracked, index: int, around: Surroundings
) -> _Outcome | None:
    """Return how the opcode ends because of the jobs that it depends on, None if it may go on.

    All of those have ended: the queue lets no job begin before.
    """
    for number, accepted in submission.dependencies(job.job.ops[index]):
        if number == job.job.id:
            return _failed("Job can't depend on itself")
        state = await around.state_of(number)
        if state is None:
            return _failed(f"Dependency error: there is no job {number}")
        if state is Status.CANCELED and state not in accepted:
            _LOG.info("canceled with the job it depends on", other=number)
            job.job = lifecycle.request_cancel(job.job)
            return None
        if accepted and state not in accepted:
            wanted = ", ".join(accepted)
            return _failed(f"Dependency job {number} ended in {state.value}, and not in {wanted}")
    return None


def _failed(text: str) -> _Outcome:
    return _Outcome(error=["OpExecError", [text]])


async def _age(job: tracked.Tracked, index: int, around: Surroundings) -> None:
    """Improve an opcode's priority as long as it waits."""
    while True:
        await asyncio.sleep(around.aging)
        op = job.job.ops[index]
        if op.status is not Status.WAITING or op.priority <= lifecycle.HIGHEST:
            return
        job.job = lifecycle.prioritize(job.job, op.priority - 1, only=index)
        job.tell()
        job.store_soon()
        around.reprioritized()
