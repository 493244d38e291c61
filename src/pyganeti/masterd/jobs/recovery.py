"""What becomes of a job that is found when the daemon starts. Pure.

What had not begun goes on: nothing was done for it, whatever it waited for. What was being
cancelled is cancelled. What was running ends in an error that says what was interrupted: nobody
knows how far it got, and it is never done again.
"""

import time
from collections.abc import Mapping
from typing import Any

from pyganeti.masterd.jobs import fields, lifecycle
from pyganeti.wire import jobfile
from pyganeti.wire.jobfile import Job, Status, Timestamp


def recover(job: Job, now: Timestamp) -> Job:
    """Return the job as it goes on: queued, or ended. One that has ended stays as it is."""
    if lifecycle.is_ended(job):
        return job
    if lifecycle.status(job) is Status.CANCELING:
        return lifecycle.cancel(job, now)
    for index, op in enumerate(job.ops):
        if op.status is Status.RUNNING:
            error: list[Any] = ["OpExecError", [_interrupted(op, "the master daemon ended")]]
            return lifecycle.fail(job, index, error, now)
    return lifecycle.requeue(job)


def needs_writing(before: Job, after: Job) -> bool:
    """Tell whether what became of a job has to be written down: that it ended."""
    return lifecycle.is_ended(after) and not lifecycle.is_ended(before)


def interrupted(job: Job, index: int, why: str, now: Timestamp) -> Job:
    """End a job whose opcode was broken off for a reason."""
    error: list[Any] = ["OpExecError", [_interrupted(job.ops[index], why)]]
    return lifecycle.fail(job, index, error, now)


def _interrupted(op: jobfile.Opcode, why: str) -> str:
    said = f"Interrupted, because {why} while this was running: {_summary(op.input)}"
    if op.exec_timestamp is not None:
        begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(op.exec_timestamp[0]))
        said += f", begun at {begun}"
    if op.log:
        said += f"; the last it said was: {op.log[-1][3]}"
    return f"{said}. How far it got is not known"


def _summary(opcode: Mapping[str, Any]) -> str:
    return fields.summary(opcode)
