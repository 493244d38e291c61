"""Accepting jobs: numbers, the limit, and the moment from which on a job is there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import (
    board,
    commits,
    files,
    moments,
    refusals,
    shelf,
    submission,
    tracked,
)
from pyganeti.wire import jobfile

_LOG = log.get(__name__)


class Acceptance:
    """Gives out numbers, each once."""

    def __init__(
        self,
        kept: shelf.Shelf,
        way: commits.Commits,
        jobs: board.Board,
        clock: moments.Clock,
        most_jobs: int,
        recount: Callable[[], Awaitable[None]],
    ) -> None:
        """Make one; ``recount`` looks whether all jobs on the board are still on the disk."""
        self._shelf = kept
        self._way = way
        self._board = jobs
        self._clock = clock
        self._most_jobs = most_jobs
        self._recount = recount
        self._coming = 0
        self.observer: Callable[[int], None] = lambda _: None
        """Is told how many more were accepted."""

        self.serial = 0
        """The last number that was given out."""

    async def accept(
        self, jobs: Sequence[Sequence[Mapping[str, Any]]]
    ) -> list[int | errors.Failure]:
        """Accept jobs, all in one write; return the number of each, or why there is none."""
        if self._room < len(jobs):
            await self._recount()
        made: list[jobfile.Job | errors.Failure] = []
        numbers: list[int | None] = []
        room = self._room
        now = self._clock()
        for opcodes in jobs:
            try:
                if room <= 0:
                    raise refusals.JobQueueFull(
                        f"There are {self._most_jobs} jobs, and may be no more; archive some"
                    )
                job = submission.make(self.serial + 1, opcodes, numbers, now)
            except errors.Failure as error:
                made.append(error)
                numbers.append(None)
                continue
            self.serial += 1
            room -= 1
            made.append(job)
            numbers.append(job.id)
        count = sum(number is not None for number in numbers)
        self._coming += count
        try:
            return await self._store(made)
        finally:
            self._coming -= count

    @property
    def _room(self) -> int:
        return self._most_jobs - len(self._board) - self._coming

    async def _store(
        self, made: Sequence[jobfile.Job | errors.Failure]
    ) -> list[int | errors.Failure]:
        writes = {
            job.id: self._way.put(job.id, jobfile.encode(job), is_new=True)
            for job in made
            if isinstance(job, jobfile.Job)
        }
        if writes:
            self._way.raise_serial(self.serial)
            await asyncio.wait(writes.values())
        results: list[int | errors.Failure] = []
        accepted = 0
        for job in made:
            if isinstance(job, errors.Failure):
                results.append(job)
                continue
            failure = writes[job.id].exception()
            if failure is None:
                self._board.add(tracked.Tracked(job, self._way))
                accepted += 1
                results.append(job.id)
            elif isinstance(failure, refusals.NotConfirmed):
                self._board.add(tracked.Tracked(job, self._way))
                accepted += 1
                results.append(failure)
            elif isinstance(failure, files.Taken):
                results.append(await self._skip(job.id))
            elif isinstance(failure, errors.Failure):
                results.append(failure)
            else:
                raise failure
        self.observer(accepted)
        return results

    async def _skip(self, number: int) -> errors.Failure:
        """Go on after the numbers of files that somebody put into the queue by hand."""
        found = await self._shelf.numbers()
        self.serial = max(self.serial, *found)
        _LOG.error("there is a job that was never accepted", job=number, serial=self.serial)
        return refusals.JobQueueError(
            f"There was a job {number} already, which was not accepted here; try again"
        )
