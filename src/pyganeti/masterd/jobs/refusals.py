"""Why the queue says no, under the names that Ganeti's clients know."""

from typing import Any, ClassVar

from pyganeti.base import errors
from pyganeti.wire import jobfile, names


class JobLost(errors.Failure):
    """There is no such job, or not any more."""

    wire_code: ClassVar[str] = "JobLost"


class JobQueueError(errors.Failure):
    """The queue itself does not work: its disk is full or broken."""

    wire_code: ClassVar[str] = "JobQueueError"


class NotConfirmed(JobQueueError):
    """The job is in the queue here, and nobody knows whether this is the queue."""


class JobQueueFull(errors.Failure):
    """There are as many jobs as may be; archive some."""

    wire_code: ClassVar[str] = "JobQueueFull"


class JobQueueDrainError(errors.Failure):
    """The queue takes no jobs at present, because somebody said so."""

    wire_code: ClassVar[str] = "JobQueueDrainError"


def lost() -> JobLost:
    """Return what is raised for a job that is not there, in the recorded words."""
    return JobLost("Can't load job file")


def not_found(job_id: int) -> tuple[bool, str]:
    """Return the answer for a job that is not under way, in the recorded words."""
    return False, f"Job {job_id} not found in queue"


def encode(failure: BaseException) -> list[Any]:
    """Return an error as it stands in an opcode's result."""
    said = names.readable(str(failure) or type(failure).__name__)
    if isinstance(failure, errors.Failure):
        try:
            return [failure.wire_code, jobfile.plain(failure.wire_args)]
        except errors.BadInput:
            return [failure.wire_code, [said]]
    return ["OpExecError", [said]]
