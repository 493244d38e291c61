"""The queue's directory as a shelf: what blocks is done in threads.

One thread does what writes, and what has to be seen between two writes; reading is done beside it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import Final, TypeVar

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import fields, files, loading, shelf, watching
from pyganeti.wire import jobfile

_LOG = log.get(__name__)
_T = TypeVar("_T")


class FileShelf:
    """Jobs in the files of a directory."""

    def __init__(self, path: Path) -> None:
        self.directory: Final = files.Directory(path)
        self._disk = futures.ThreadPoolExecutor(1, "queue-disk")

    @property
    def place(self) -> str:
        """The directory's path."""
        return str(self.directory.path)

    async def open(self) -> None:
        """Lock the directory; see `files.Directory.open`."""
        await asyncio.to_thread(self.directory.open)

    def close(self) -> None:
        """Let go of it."""
        self._disk.shutdown(wait=False)
        self.directory.close()

    def watch(self, gone: shelf.Gone, lost: shelf.Lost) -> watching.Watch:
        """Have the kernel say when a file goes."""
        found = watching.Watch(gone, lost)
        found.open(self.directory.path)
        return found

    async def load(self) -> loading.Loaded:
        """Return what lies there."""
        return await asyncio.to_thread(loading.load, self.directory)

    async def numbers(self) -> list[int]:
        """Return the numbers of the jobs that are not archived."""
        return await self._on_disk(self.directory.numbers)

    async def archived_numbers(self) -> list[int]:
        """Return the numbers of all archived jobs."""
        return await asyncio.to_thread(self.directory.archived_numbers)

    async def job(self, job_id: int) -> jobfile.Job | None:
        """Return a job that is not archived."""
        return await asyncio.to_thread(self.directory.read, job_id)

    async def find(self, job_ids: Sequence[int], *, archived: bool) -> dict[int, fields.Found]:
        """Return those that are there."""
        return await asyncio.to_thread(self._find, job_ids, archived=archived)

    def has(self, job_id: int) -> bool:
        """Tell whether a job's file is there."""
        return self.directory.has(job_id)

    async def write(
        self, writes: Sequence[files.Write], serial: int | None
    ) -> dict[int, OSError | errors.Failure | None]:
        """Write files of jobs, and the serial number."""
        return await self._on_disk(lambda: self.directory.write(writes, serial))

    async def archive(self, job_ids: Sequence[int]) -> list[int]:
        """Move files of ended jobs to the archive."""
        return await self._on_disk(lambda: self.directory.archive(job_ids))

    def is_drained(self) -> bool:
        """Tell whether there is a file named drain."""
        return self.directory.is_drained()

    async def set_drained(self, *, drained: bool) -> None:
        """Make that file or remove it."""
        await self._on_disk(lambda: self.directory.set_drained(drained=drained))

    def _find(self, job_ids: Sequence[int], *, archived: bool) -> dict[int, fields.Found]:
        found = {}
        for number in job_ids:
            try:
                if (job := self.directory.read(number)) is not None:
                    found[number] = fields.Found(job)
                elif archived and (job := self.directory.read_archived(number)) is not None:
                    found[number] = fields.Found(job, is_archived=True)
            except (errors.Failure, OSError) as error:
                _LOG.warning("a job cannot be read", job=number, reason=str(error))
        return found

    async def _on_disk(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)
