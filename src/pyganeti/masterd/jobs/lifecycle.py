"""A job's way from queued to its end, as pure steps: a job in, the next one out.

An opcode goes queued, waiting, running, and ends in success, error or canceled; from waiting it
may go canceling. Ganeti's rule makes the job's state out of its opcodes': the first that failed or
was cancelled decides, else the one that is under way. When one opcode fails, those after it do too.

Every function takes the time as an argument, and leaves the job that it got as it was.
"""

from typing import Any, Final

import msgspec

from pyganeti.wire import jobfile
from pyganeti.wire.jobfile import Job, Opcode, Status, Timestamp

HIGHEST: Final = -20
LOWEST: Final = 19
DEFAULT: Final = 0

CANCELED_BY_REQUEST: Final = "Job canceled by request"

_DECIDING: Final = frozenset({Status.ERROR, Status.CANCELING, Status.CANCELED})
_UNDER_WAY: Final = frozenset({Status.WAITING, Status.RUNNING})


def status(job: Job) -> Status:
    """Return the job's state."""
    found = Status.QUEUED
    all_done = True
    for op in job.ops:
        if op.status in _DECIDING:
            return op.status
        if op.status in _UNDER_WAY:
            found = op.status
        all_done = all_done and op.status is Status.SUCCESS
    return Status.SUCCESS if all_done else found


def is_ended(job: Job) -> bool:
    """Tell whether nothing will happen to it any more."""
    return status(job) in jobfile.ENDED


def priority(job: Job) -> int:
    """Return the best priority of what is left to do."""
    return min((op.priority for op in job.ops if op.status not in jobfile.ENDED), default=DEFAULT)


def ended_at(job: Job) -> Timestamp | None:
    """Return when it ended, as well as that is known; only of an ended job."""
    return job.end_timestamp or job.start_timestamp


def log_serial(job: Job) -> int:
    """Return the number of its last log entry, 0 if there is none."""
    return max((entry[0] for op in job.ops for entry in op.log), default=0)


def wait(job: Job, index: int, now: Timestamp) -> Job:
    """Have an opcode wait for what it needs."""
    op = job.ops[index]
    changed = msgspec.structs.replace(
        op, status=Status.WAITING, result=None, start_timestamp=op.start_timestamp or now
    )
    return msgspec.structs.replace(
        _with(job, index, changed), start_timestamp=job.start_timestamp or changed.start_timestamp
    )


def begin(job: Job, index: int, now: Timestamp, livelock: str | None, process_id: int) -> Job:
    """Have an opcode run, in this process."""
    changed = msgspec.structs.replace(job.ops[index], status=Status.RUNNING, exec_timestamp=now)
    return msgspec.structs.replace(
        _with(job, index, changed), livelock=livelock, process_id=process_id
    )


def succeed(job: Job, index: int, result: object, now: Timestamp) -> Job:
    """End an opcode well; with the last one ends the job."""
    changed = msgspec.structs.replace(
        job.ops[index], status=Status.SUCCESS, result=result, end_timestamp=now
    )
    job = _with(job, index, changed)
    return msgspec.structs.replace(job, end_timestamp=now) if index == len(job.ops) - 1 else job


def fail(job: Job, index: int, error: list[Any], now: Timestamp) -> Job:
    """End an opcode badly, with the error in its wire form, and the job with it."""
    following: list[Any] = ["OpExecError", ["Preceding opcode failed"]]
    ops = [
        op
        if place < index
        else msgspec.structs.replace(
            op,
            status=Status.ERROR,
            result=error if place == index else following,
            end_timestamp=now,
        )
        for place, op in enumerate(job.ops)
    ]
    return msgspec.structs.replace(job, ops=tuple(ops), end_timestamp=now)


def request_cancel(job: Job) -> Job:
    """Have everything that is left be cancelled as soon as it lets go."""
    return _unended(job, status=Status.CANCELING, result=None)


def cancel(job: Job, now: Timestamp) -> Job:
    """End the job, leaving undone what is left."""
    job = _unended(job, status=Status.CANCELED, result=CANCELED_BY_REQUEST, end_timestamp=now)
    return msgspec.structs.replace(job, end_timestamp=now)


def requeue(job: Job) -> Job:
    """Take back that an opcode waits: nothing has been done for it."""
    ops = [
        msgspec.structs.replace(op, status=Status.QUEUED) if op.status is Status.WAITING else op
        for op in job.ops
    ]
    return msgspec.structs.replace(job, ops=tuple(ops))


def prioritize(job: Job, level: int, only: int | None = None) -> Job:
    """Change the priority of what has not begun, or only of one such opcode."""
    ops = [
        msgspec.structs.replace(op, priority=level)
        if op.status in {Status.QUEUED, Status.WAITING} and only in {None, index}
        else op
        for index, op in enumerate(job.ops)
    ]
    return msgspec.structs.replace(job, ops=tuple(ops))


def log(job: Job, index: int, entry: jobfile.LogEntry) -> Job:
    """Add to an opcode's log."""
    op = job.ops[index]
    return _with(job, index, msgspec.structs.replace(op, log=(*op.log, entry)))


def current(job: Job) -> int | None:
    """Return the index of the first opcode that has not ended, None if all have."""
    for index, op in enumerate(job.ops):
        if op.status not in jobfile.ENDED:
            return index
    return None


def _with(job: Job, index: int, op: Opcode) -> Job:
    return msgspec.structs.replace(job, ops=(*job.ops[:index], op, *job.ops[index + 1 :]))


def _unended(job: Job, **changes: Any) -> Job:  # noqa: ANN401 - of any field
    ops = [
        op if op.status in jobfile.ENDED else msgspec.structs.replace(op, **changes)
        for op in job.ops
    ]
    return msgspec.structs.replace(job, ops=tuple(ops))
