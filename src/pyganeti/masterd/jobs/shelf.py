"""Where jobs are kept: what the queue needs of that, be it a directory or something far away.

What has been written when a method returns survives a power failure. Whatever changes something is
done after what was asked for before it.

Trouble of the place itself is an OSError, as that of a disk: it passes, and whoever writes tries
again. A Failure is about one job, or for good.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from pyganeti.base import errors
from pyganeti.masterd.jobs import fields, files, loading, replication
from pyganeti.wire import jobfile

Gone = Callable[[int], None]
"""Told the number of a job that somebody has taken away."""

Lost = Callable[[], None]
"""Told that somebody may have, and that nobody knows which."""


class Watching(Protocol):
    """Looks for jobs that somebody takes away by hand."""

    def close(self) -> None:
        """Look no more; twice does no harm."""


class Shelf(Protocol):
    """A place for jobs."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    async def open(self) -> None:
        """Make it ready, and clear away what a crash has left.

        Raises AlreadyRunning if another master daemon has it, JobQueueError if it is of another
        version, OSError.
        """

    def close(self) -> None:
        """Let go of it; twice does no harm."""

    def watch(self, gone: Gone, lost: Lost) -> Watching:
        """Look from now on for jobs that go."""

    async def load(self) -> loading.Loaded:
        """Return what lies there. What is no job is set aside, and said. Raises OSError."""

    async def numbers(self) -> list[int]:
        """Return the numbers of the jobs that are not archived, in no order. Raises OSError."""

    async def archived_numbers(self) -> list[int]:
        """Return the numbers of all archived jobs: a long list, read from the disk."""

    async def job(self, job_id: int) -> jobfile.Job | None:
        """Return a job that is not archived, None if it is not there.

        Raises Damaged or Denied if what is there is no job, OSError if it cannot be read.
        """

    async def find(self, job_ids: Sequence[int], *, archived: bool) -> dict[int, fields.Found]:
        """Return those that are there; archived ones only on request.

        One that cannot be read is not there, which is said.
        """

    def has(self, job_id: int) -> bool:
        """Tell at once whether a job is there, not archived."""

    async def write(
        self, writes: Sequence[files.Write], serial: int | None
    ) -> dict[int, OSError | errors.Failure | None]:
        """Write jobs, and the serial number.

        Returns for each job what kept it from being written: None, Removed, Taken, or an OSError.
        A new job is never left behind half accepted, and where the serial number cannot be
        written no new job is.
        """

    async def archive(self, job_ids: Sequence[int]) -> list[int]:
        """Move ended jobs to the archive; return those that are there now. Raises OSError."""

    def is_drained(self) -> bool:
        """Tell at once whether no more jobs are taken."""

    async def set_drained(self, *, drained: bool) -> None:
        """Say whether no more jobs are taken; raises OSError."""


class Copies(Protocol):
    """What other nodes have of the queue; `replication.Replication` says what each method does."""

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin."""

    def reconsider(self) -> None:
        """Look again at who the others are."""

    def hurry(self) -> None:
        """Try at once those that are away."""

    async def close(self) -> None:
        """Send no more."""

    async def send(self, changes: Sequence[replication.Change]) -> bool:
        """Return when whoever answers has these changes, and whether all have that should."""
