"""The jobs that bear on a stop, in plain words, and as moments of its timeline. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from pyganeti.model import stop as stops
from pyganeti.wire import reasontrail
from pyganeti.wire.stopjobs import Bearing, Job
from pyganeti.words import moments, pages, trails
from pyganeti.words.stopstory import Moment

_MOST: Final = 8
"""Jobs that are told of in sentences; the timeline has all."""

_ENDS: Final = {
    "success": "ended well",
    "error": "failed",
    "canceled": "was cancelled",
    "running": "runs still",
}

_MARKING: Final = "TAGS_SET"
"""What a job that gives an instance up does."""

_BEGINNINGS: Final = {
    Bearing.ENDED: "It was",
    Bearing.DURING: "Under way then was",
    Bearing.AFTER: "Then came",
}


def sentences(stop: stops.Stop, jobs: Sequence[Job]) -> list[str]:
    """Return a sentence for each job, the first ones if they are many."""
    told = [_sentence(stop, job) for job in jobs[:_MOST]]
    if len(jobs) > _MOST:
        told.append(f"{len(jobs) - _MOST} further jobs followed.")
    return told


def timeline(jobs: Sequence[Job]) -> list[Moment]:
    """Return what happened to the jobs; those of one job are in order."""
    return [moment for job in jobs for moment in _moments(job)]


def _sentence(stop: stops.Stop, job: Job) -> str:
    recovery = reasontrail.recovery_of(job.reason)
    what = f"job {job.id}, {_summary(job)}"
    if job.bearing is Bearing.RECOVERY:
        after = _after(stop, job)
        return f"The watcher submitted {what}{_attempt(job, recovery)}{after}; it {_end(job)}."
    author = trails.author(job.reason)
    reason = trails.reason(job.reason)
    told = f"{_after(stop, job)}{f' {author}' if author else ''}"
    told += f" for the reason “{reason}”" if reason else ""
    submitted = f", submitted{told}" if told else ""
    return f"{_BEGINNINGS[job.bearing]} {what}{submitted}; it {_end(job)}."


def _attempt(job: Job, recovery: reasontrail.Recovery | None) -> str:
    """Return the how manieth try a job was; or that it gave the instance up, after how many."""
    if recovery is None or not recovery.attempt:  # it only recorded something
        return ""
    if any(what.startswith(_MARKING) for what in job.summary):
        plural = "y" if recovery.attempt == 1 else "ies"
        return f" (giving up after {recovery.attempt} tr{plural})"
    return f" (try {recovery.attempt})"


def _after(stop: stops.Stop, job: Job) -> str:
    if job.received is None or job.received < stop.stopped:
        return ""
    return f" {moments.duration(job.received - stop.stopped)} after the stop"


def _end(job: Job) -> str:
    told = _ENDS.get(job.status, f"is {job.status}")
    if job.error:
        told += f": {_line(job.error).rstrip('.')}"
    elif job.ended is not None and job.started is not None:
        told += f" after {moments.duration(job.ended - job.started)}"
    return told


def _summary(job: Job) -> str:
    return pages.shown(", ".join(job.summary))


def _line(text: str) -> str:
    """Return a text, of several lines perhaps, as one that may go to a terminal."""
    return pages.shown(" ".join(text.split()))


def _moments(job: Job) -> Iterator[Moment]:
    recovery = reasontrail.recovery_of(job.reason)
    source = f"job {job.id}"
    author = trails.author(job.reason)
    reason = trails.reason(job.reason)
    what = f"{', '.join(job.summary)} submitted{f' {author}' if author else ''}"
    if recovery is not None:
        what += f", because of {recovery.cause}{_attempt(job, recovery)}"
    if reason:
        what += f": {reason}"
    yield Moment(job.received, source, what)
    for at, line in job.log:
        yield Moment(at, source, _line(line))
    if job.ended is not None:
        yield Moment(job.ended, source, f"{_ENDS.get(job.status, job.status)}" + _why(job))


def _why(job: Job) -> str:
    return f": {_line(job.error)}" if job.error else ""
