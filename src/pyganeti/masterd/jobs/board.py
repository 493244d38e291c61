"""All jobs that are not archived, in memory: those under way whole, the ended ones in two words.

When a job here ends, is removed or comes to be, everybody learns of it here: who waits for it, the
schedule, the count of jobs. No I/O.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from pyganeti.masterd.jobs import lifecycle, loading, schedule, submission, tracked
from pyganeti.wire import jobfile

Observer: TypeAlias = Callable[[jobfile.Job, jobfile.Status], None]
"""Is told of each job that ends here, and how; not to raise, and quick."""


def unobserved(job: jobfile.Job, status: jobfile.Status) -> None:
    """Tell nobody."""


class Board:
    """The jobs."""

    def __init__(self) -> None:
        self.observer: Observer = unobserved
        self.under_way: Final[dict[int, tracked.Tracked]] = {}
        self.ended: Final[dict[int, loading.Ended]] = {}
        self.schedule: Final = schedule.Schedule()

    def __len__(self) -> int:
        return len(self.under_way) + len(self.ended)

    def numbers(self) -> Iterator[int]:
        """Give the numbers of all, those under way first."""
        yield from list(self.under_way)
        yield from list(self.ended)

    def add(self, job: tracked.Tracked) -> None:
        """Put up a job that is queued."""
        number = job.job.id
        self.under_way[number] = job
        needed = {
            other
            for op in job.job.ops
            for other, _ in submission.dependencies(op)
            if other < number
        }
        self.schedule.add(number, lifecycle.priority(job.job), needed & self.under_way.keys())

    def watch(self, job: tracked.Tracked) -> None:
        """Put up a job that is under way elsewhere."""
        self.under_way[job.job.id] = job

    def end(self, job: tracked.Tracked) -> None:
        """Take a job down that has ended, or is gone."""
        number = job.job.id
        if self.under_way.pop(number, None) is None:
            return
        self.schedule.remove(number)
        if not job.is_removed and lifecycle.is_ended(job.job):
            status = lifecycle.status(job.job)
            self.ended[number] = loading.Ended(status, lifecycle.ended_at(job.job))
            self.observer(job.job, status)
        job.end()
        self.schedule.ended(number)

    def statuses(self) -> Iterator[jobfile.Status]:
        """Give the status of each job, as others may be told of it."""
        for job in list(self.under_way.values()):
            yield lifecycle.status(job.shown)
        for ended in list(self.ended.values()):
            yield ended.status

    def state_of_ended(self, number: int) -> jobfile.Status | None:
        """Return how a job ended that is not archived; None if it is not known here."""
        known = self.ended.get(number)
        return None if known is None else known.status
