"""Jobs on their way out: into the archive, here and on the candidates; and the drain flag.

Only what has ended is archived. The archive is made of directories of ten thousand jobs each, which
are never read to find one.
"""

import time
from collections.abc import Sequence
from typing import Final

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import (
    board,
    files,
    lifecycle,
    loading,
    moments,
    refusals,
    replication,
    shelf,
)

_LOG = log.get(__name__)
_BATCH: Final = 100


class Archiving:
    """What moves jobs to the archive."""

    def __init__(
        self,
        kept: shelf.Shelf,
        copies: shelf.Copies,
        jobs: board.Board,
        clock: moments.Clock,
    ) -> None:
        self._shelf = kept
        self._copies = copies
        self._board = jobs
        self._clock = clock

    async def archive(self, job_id: int) -> bool:
        """Archive a job that has ended; return whether there was one. Raises JobQueueError."""
        if job_id in self._board.under_way:
            return False
        if job_id not in self._board.ended and not await self._lies_there_ended(job_id):
            return False
        return bool(await self._archive([job_id]))

    async def auto_archive(self, age: float, timeout: float) -> tuple[int, int]:
        """Archive what ended long enough ago; how many were, and how many were not looked at."""
        deadline = time.monotonic() + timeout
        before = self._clock() - age
        numbers = sorted(self._board.ended)
        done = 0
        for start in range(0, len(numbers), _BATCH):
            if time.monotonic() >= deadline:
                return done, len(numbers) - start
            old = [
                number
                for number in numbers[start : start + _BATCH]
                if number in self._board.ended
                and (age < 0 or _ended_before(self._board.ended[number], before))
            ]
            done += len(await self._archive(old)) if old else 0
        return done, 0

    async def set_drain(self, *, drained: bool) -> None:
        """Take no more jobs, or take them again. Raises JobQueueError."""
        try:
            await self._shelf.set_drained(drained=drained)
        except OSError as error:
            raise refusals.JobQueueError(f"The drain flag cannot be changed: {error}") from error
        await self._copies.send([replication.Drain(drained)])

    async def withdraw(self, job_ids: Sequence[int]) -> None:
        """Have the candidates archive jobs that somebody took away here by hand."""
        pairs = [(files.name_of(number), files.archive_name(number)) for number in job_ids]
        await self._copies.send([replication.Rename((pair,)) for pair in pairs])

    async def _archive(self, numbers: list[int]) -> list[int]:
        # Forgotten first, so that their going is no news.
        known = {n: self._board.ended.pop(n) for n in numbers if n in self._board.ended}
        try:
            moved = await self._shelf.archive(numbers)
        except OSError as error:
            self._board.ended.update({n: known[n] for n in known if self._shelf.has(n)})
            raise refusals.JobQueueError(f"Jobs cannot be archived: {error}") from error
        if moved:
            pairs = tuple((files.name_of(n), files.archive_name(n)) for n in moved)
            await self._copies.send([replication.Rename(pairs)])
        return moved

    async def _lies_there_ended(self, number: int) -> bool:
        """Look for a job that somebody put there by hand."""
        try:
            job = await self._shelf.job(number)
        except (errors.Failure, OSError) as error:
            _LOG.warning("a job cannot be archived", job=number, reason=str(error))
            return False
        return job is not None and lifecycle.is_ended(job)


def _ended_before(ended: loading.Ended, before: float) -> bool:
    return ended.at is None or ended.at[0] + ended.at[1] / 1e6 < before
