"""A job as it lies in the queue, one line of JSON in ``job-N``, in the form that Ganeti reads.

What comes in is checked as far as the queue relies on it; parameters and results are anybody's
JSON, and are carried as they are. Whoever puts something of his own into a job makes it `plain`
before: then it can always be written, and is read as it was; text that is not UTF-8 (a file's name
in a log line) is written out readably.
"""

import enum
from typing import Any, Final, TypeAlias

import msgspec

from pyganeti.base import errors
from pyganeti.wire import names

Timestamp: TypeAlias = tuple[int, int]
"""Seconds of the epoch and microseconds."""

LogEntry: TypeAlias = tuple[int, Timestamp, str, Any]
"""A serial number, rising within the job; when; what kind; the text."""

SIZE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a job's file that anybody reads."""


class Status(enum.StrEnum):
    """The state of an opcode, and of a job."""

    QUEUED = "queued"
    WAITING = "waiting"
    CANCELING = "canceling"
    RUNNING = "running"
    CANCELED = "canceled"
    SUCCESS = "success"
    ERROR = "error"


ENDED: Final = frozenset({Status.CANCELED, Status.SUCCESS, Status.ERROR})


class Opcode(msgspec.Struct, frozen=True):
    """One opcode of a job: what is to be done, and how far that is."""

    input: dict[str, Any]
    status: Status
    result: Any = None
    log: tuple[LogEntry, ...] = ()
    priority: int = 0
    start_timestamp: Timestamp | None = None
    exec_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None


class Job(msgspec.Struct, frozen=True):
    """A job: opcodes, one after the other.

    ``livelock`` is a file that the process which carries it out keeps locked, as ``process_id`` is
    that process.
    """

    id: int
    ops: tuple[Opcode, ...]
    received_timestamp: Timestamp | None = None
    start_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None
    livelock: str | None = None
    process_id: int | None = None


_DECODER: Final = msgspec.json.Decoder(Job, strict=False)  # ids were strings in old Ganeti
_ENCODER: Final = msgspec.json.Encoder()


def decode(data: bytes, job_id: int) -> Job:
    """Return the job with that number which a file holds; raises Damaged if there is none in it."""
    try:
        job = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Damaged(f"this is no job: {error}") from error
    if job.id != job_id:
        raise errors.Damaged(f"this is job {job.id}, not job {job_id}")
    if not job.ops:
        raise errors.Damaged("this job has no opcodes")
    return job


def encode(job: Job) -> bytes:
    """Return a job as its file holds it. What is in it was made `plain` by who put it there."""
    return _ENCODER.encode(job)


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a value as it will be read from a file; raises BadInput if it is not JSON."""
    try:
        try:
            data = _ENCODER.encode(value)
        except UnicodeEncodeError:
            data = _ENCODER.encode(names.all_readable(msgspec.to_builtins(value, str_keys=True)))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.BadInput(f"this is not JSON: {error}") from error
    return msgspec.json.decode(data)
