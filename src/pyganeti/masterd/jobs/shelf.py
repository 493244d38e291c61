"""Where jobs are kept: what the queue needs of that, be it a directory or something far away.

Everything blocks and is for threads, but for `Shelf.is_drained`, `Shelf.has` and `Shelf.watch`,
which answer at once. One thread writes at a time. What has been written when a method returns
survives a power failure.

Trouble of the place itself is an OSError, as that of a disk: it passes, and whoever writes tries
again. A Failure is about one job, or for good.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pyganeti.base import errors
from pyganeti.masterd.jobs import files, replication
from pyganeti.wire import jobfile


class Watching(Protocol):
    """Looks for jobs that somebody takes away by hand."""

    def close(self) -> None:
        """Look no more; twice does no harm."""


class Shelf(Protocol):
    """A place for jobs; `files.Directory` says what each method does, and raises."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def open(self) -> None:
        """Make it ready; raises AlreadyRunning if another master daemon has it."""

    def close(self) -> None:
        """Let go of it; twice does no harm."""

    def watch(self, gone: Callable[[int], None], lost: Callable[[], None]) -> Watching:
        """Have ``gone`` called with the number of a job that goes, ``lost`` if count is lost."""

    def numbers(self) -> list[int]:
        """Return the numbers of the jobs that are not archived."""

    def archived_numbers(self) -> list[int]:
        """Return the numbers of those that are."""

    def read(self, job_id: int) -> jobfile.Job | None:
        """Return a job that is not archived."""

    def read_archived(self, job_id: int) -> jobfile.Job | None:
        """Return an archived job."""

    def has(self, job_id: int) -> bool:
        """Tell whether a job is there, not archived."""

    def last_number(self, live: Sequence[int]) -> int:
        """Return the highest number that was ever given out."""

    def write(
        self, writes: Sequence[files.Write], serial: int | None
    ) -> dict[int, OSError | errors.Failure | None]:
        """Write jobs, and the serial number; return what kept each from being written."""

    def archive(self, job_ids: Sequence[int]) -> list[int]:
        """Move ended jobs to the archive; return those that are there now."""

    def set_aside(self, job_id: int) -> Path | str | None:
        """Move what is no job out of the way; return where it is, None if it had gone."""

    def is_drained(self) -> bool:
        """Tell whether no more jobs are taken."""

    def set_drained(self, *, drained: bool) -> None:
        """Say whether no more jobs are taken."""


class Copies(Protocol):
    """What other nodes have of the queue; `replication.Replication` says what each method does."""

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin."""

    def reconsider(self) -> None:
        """Look again at who the others are."""

    async def close(self) -> None:
        """Send no more."""

    async def send(self, changes: Sequence[replication.Change]) -> bool:
        """Return when whoever answers has these changes, and whether all have that should."""
