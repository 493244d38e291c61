"""Jobs that another process carries out: one of Ganeti's, which outlives its master daemon.

Such a process keeps a file locked that the job names. As long as it does, the job is its own: it is
shown as its file says, and left alone. When the process is gone, what it left is taken up like any
job that is found at the start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from pyganeti.base import errors, livelocks, log
from pyganeti.masterd.jobs import shelf, tracked
from pyganeti.wire import jobfile

_LOG = log.get(__name__)
_PAUSE: Final = 1.0


def is_elsewhere(job: jobfile.Job) -> bool:
    """Tell whether another process carries a job out. Blocks for a moment."""
    return job.livelock is not None and livelocks.is_alive(job.livelock)


def found(jobs: Iterable[jobfile.Job], ours: str | None) -> frozenset[int]:
    """Return the numbers of those that another process carries out. Blocks for a moment.

    ``ours`` is the file that this process keeps locked.
    """
    return frozenset(job.id for job in jobs if job.livelock != ours and is_elsewhere(job))


class Elsewhere:
    """Follows such jobs until they come to us."""

    def __init__(
        self, kept: shelf.Shelf, ours: Callable[[tracked.Tracked], Awaitable[None]]
    ) -> None:
        """Make one that calls ``ours`` with a job which nobody else carries out any more."""
        self._shelf = kept
        self._ours = ours
        self._jobs: dict[int, tracked.Tracked] = {}
        self._task: asyncio.Task[None] | None = None

    def has(self, job_id: int) -> bool:
        """Tell whether a job is carried out elsewhere."""
        return job_id in self._jobs

    def follow(self, job: tracked.Tracked) -> None:
        """Follow one more."""
        _LOG.info("a job is carried out by another process", job=job.job.id, pid=job.job.process_id)
        self._jobs[job.job.id] = job

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to look, as long as there is a job to look at."""
        if self._jobs:
            self._task = tasks.create_task(self._run(), name="jobs-elsewhere")

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._jobs:
            await asyncio.sleep(_PAUSE)
            for job_id, job in list(self._jobs.items()):
                if job.is_removed:
                    del self._jobs[job_id]
                    continue
                # In this order: what it wrote last is read after it has gone.
                is_alive = await asyncio.to_thread(is_elsewhere, job.job)
                try:
                    newest = await self._shelf.job(job_id)
                except (errors.Failure, OSError) as error:
                    _LOG.warning("a job cannot be read", job=job_id, reason=str(error))
                    continue
                if newest is not None and newest != job.job:
                    job.job = newest
                    job.tell()
                if not is_alive:
                    del self._jobs[job_id]
                    await self._ours(job)
