"""What lies in the queue when the daemon starts. Blocks; for a thread.

A job that ended is not kept in memory: that and when it ended is. One that cannot be read is set
aside, and said, and the others load.
"""

from dataclasses import dataclass, field

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import files, lifecycle
from pyganeti.wire import jobfile

_LOG = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended, as much as is kept of it."""

    status: jobfile.Status
    at: jobfile.Timestamp | None


@dataclass(slots=True)
class Loaded:
    """All jobs that are not archived, and the last number that was given out."""

    serial: int = 0
    ended: dict[int, Ended] = field(default_factory=dict)
    under_way: list[jobfile.Job] = field(default_factory=list)


def load(directory: files.Directory) -> Loaded:
    """Read the queue; raises OSError if that is not possible at all."""
    numbers = sorted(directory.numbers())
    loaded = Loaded(serial=directory.last_number(numbers))
    for number in numbers:
        try:
            job = directory.read(number)
        except errors.Failure as error:
            set_aside(directory, number, error)
            continue
        except OSError as error:
            _LOG.error("a job cannot be read", job=number, reason=str(error))
            continue
        if job is None:
            continue
        if lifecycle.is_ended(job):
            loaded.ended[number] = Ended(lifecycle.status(job), lifecycle.ended_at(job))
        else:
            loaded.under_way.append(job)
    return loaded


def set_aside(directory: files.Directory, number: int, why: errors.Failure) -> None:
    """Move what is no job out of the queue, and say so."""
    try:
        where = directory.set_aside(number)
    except OSError as error:
        _LOG.error("a broken job cannot be set aside", job=number, reason=str(error))
        return
    if where is not None:
        _LOG.error("a broken job was set aside", job=number, to=str(where), reason=str(why))
