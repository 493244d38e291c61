"""The queue's directory: ``job-N``, ``serial``, ``version``, ``lock``, ``drain``, ``archive``.

It is Ganeti's, file for file. Everything here blocks, and is for one thread at a time but for the
reading of jobs. Jobs are found by their number alone: the archive is never listed, except where
somebody asks for all of it, or where the serial number was lost.

`Directory.write` is the one place where jobs get onto the disk: any number of them share the sync
of their directory, and their own syncs run side by side. A file appears whole under its name, or
not at all. A job that is to be changed is only changed if its file is there: what an operator has
removed or moved away stays so.

In failure: a file that cannot be written fails alone, with its OSError; what a kill -9 leaves is a
``.new-job-N`` that the next start removes. Raises JobQueueError where the directory is no queue.
"""

import contextlib
import errno
import fcntl
import os
import re
import struct
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, log
from pyganeti.masterd.jobs import refusals
from pyganeti.wire import jobfile

_LOG = log.get(__name__)

JOBS_PER_ARCHIVE: Final = 10_000

_VERSION: Final = b"1"
_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
_JOB: Final = re.compile(r"job-([1-9][0-9]{0,17})\Z", re.ASCII)
_TEMPORARY: Final = ".new-"
_SERIAL: Final = "serial"
_ARCHIVE: Final = "archive"
_BROKEN: Final = "broken"
_SYNCERS: Final = 8
_SLICE: Final = 200
"""Files that are open at once, of the 1024 descriptors that a process may have."""

_NEW: Final = os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
_WHOLE_FILE: Final = struct.Struct("hhqqi4x")
"""struct flock of a 64-bit Linux, for a lock that belongs to the descriptor."""


class Removed(errors.Failure):
    """Somebody has taken the job's file away; it is not a job any more."""


class Taken(errors.Failure):
    """There is a file of that number, which nobody here gave out."""


@dataclass(frozen=True, slots=True)
class Write:
    """One job's file: its content, and whether it is its first."""

    job_id: int
    data: bytes
    is_new: bool = False


def name_of(job_id: int) -> str:
    """Return the name of a job's file."""
    return f"job-{job_id}"


def archive_name(job_id: int) -> str:
    """Return where it is archived, from the queue's directory."""
    return f"{_ARCHIVE}/{job_id // JOBS_PER_ARCHIVE}/{name_of(job_id)}"


class Directory:
    """The queue on this node's disk; `open` it first, `close` it in the end."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._fd = -1
        self._lock = -1
        self.owner: files.Owner | None = None
        """Who owns the directory, if that is not root."""
        self._syncers = futures.ThreadPoolExecutor(_SYNCERS, "queue-sync")

    def open(self) -> None:
        """Make the directory if need be, lock it, and clear away what a crash has left.

        Raises AlreadyRunning if another master daemon has it, JobQueueError if it is of another
        version, OSError.
        """
        files.make_directories(self.path, _DIRECTORY_MODE)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if os.geteuid() == 0:
            found = os.fstat(self._fd)
            if (found.st_uid, found.st_gid) != (0, 0):
                self.owner = found.st_uid, found.st_gid
        self._lock_it()
        version = files.read_small(self._fd, "version", 100)
        if version is None:
            files.write_durably(self.path / "version", _VERSION + b"\n", _MODE, self.owner)
        elif version.strip() != _VERSION:
            raise refusals.JobQueueError(
                f"{self.path} has jobs in the form {version.decode(errors='replace').strip()!r},"
                f" and only {_VERSION.decode()} can be read"
            )
        for name in self._names():
            if name.startswith(_TEMPORARY):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._fd)

    def close(self) -> None:
        """Let go of the directory; twice does no harm."""
        self._syncers.shutdown()
        for descriptor in (self._fd, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._fd = self._lock = -1

    # Reading.

    def numbers(self) -> list[int]:
        """Return the numbers of the jobs that are not archived, in no order."""
        return [int(found[1]) for found in map(_JOB.match, self._names()) if found]

    def archived_numbers(self) -> list[int]:
        """Return the numbers of all archived jobs: a long list, read from the disk."""
        return [number for directory in self._archives() for number in _numbers_in(directory)]

    def read(self, job_id: int) -> jobfile.Job | None:
        """Return a job that is not archived, None if it is not there.

        Raises Damaged or Denied if what is there is no job, OSError if it cannot be read.
        """
        data = files.read_small(self._fd, name_of(job_id), jobfile.SIZE_LIMIT)
        return None if data is None else jobfile.decode(data, job_id)

    def read_archived(self, job_id: int) -> jobfile.Job | None:
        """Return an archived job, None if it is not there; raises like `read`."""
        path = self.path / archive_name(job_id)
        try:
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            data = files.read_small(directory, path.name, jobfile.SIZE_LIMIT)
        finally:
            os.close(directory)
        return None if data is None else jobfile.decode(data, job_id)

    def has(self, job_id: int) -> bool:
        """Tell whether a job's file is there, not archived."""
        return self._is_there(name_of(job_id))

    def content(self, job_id: int) -> bytes | None:
        """Return a job's file as it is, None if it is not there or cannot be read."""
        try:
            return files.read_small(self._fd, name_of(job_id), jobfile.SIZE_LIMIT)
        except (OSError, errors.Failure):
            return None

    def last_number(self, live: Sequence[int]) -> int:
        """Return the highest number that was ever given out, as far as it can be known.

        ``live`` are the `numbers` found. Where the serial file is missing or broken, the newest
        archived job stands in for it.
        """
        highest = max(live, default=0)
        try:
            data = files.read_small(self._fd, _SERIAL, 100)
            if data is not None:
                return max(highest, int(data))
        except (ValueError, errors.Failure) as error:
            _LOG.error("the queue's serial file is broken", reason=str(error))
        newest = [number for path in self._archives()[:1] for number in _numbers_in(path)]
        broken = [
            number
            for number in map(_broken_number, _names_in(self.path / _BROKEN))
            if number is not None
        ]
        highest = max(highest, *newest, *broken, 0)
        if highest:
            _LOG.warning("the serial number comes from the jobs that are there", serial=highest)
        return highest

    # Writing.

    def write(
        self, writes: Sequence[Write], serial: int | None
    ) -> dict[int, OSError | errors.Failure | None]:
        """Write files of jobs, and the serial number; when this returns they last.

        Returns for each job what kept it from being written: None, Removed, Taken, or an OSError.
        A new job is never left behind half accepted: if it could not be made to last it is gone.
        Where the serial number cannot be written no new job is.
        """
        results: dict[int, OSError | errors.Failure | None] = {}
        for start in range(0, max(len(writes), 1), _SLICE):
            slice_ = [w for w in writes[start : start + _SLICE] if w.job_id not in results]
            unnumbered = self._write_some(slice_, serial if start == 0 else None, results)
            if unnumbered is not None:
                results |= {write.job_id: unnumbered for write in writes if write.is_new}
        trouble = _fsync(self._fd)
        for write in writes:
            if trouble is not None and results[write.job_id] is None:
                results[write.job_id] = trouble
                if write.is_new:
                    self._discard(name_of(write.job_id))
        return results

    def archive(self, job_ids: Sequence[int]) -> list[int]:
        """Move ended jobs to the archive; return those that are there now.

        Raises OSError if the archive cannot be written.
        """
        moved: list[int] = []
        parents: set[Path] = set()
        for job_id in job_ids:
            target = self.path / archive_name(job_id)
            if target.parent not in parents:
                self.make_directories(target.parent)
                parents.add(target.parent)
            try:
                (self.path / name_of(job_id)).rename(target)
            except FileNotFoundError:
                continue
            moved.append(job_id)
        for directory in (*parents, self.path):
            _sync(directory)
        return moved

    def set_aside(self, job_id: int) -> Path | None:
        """Move what is no job out of the way, and return where it is; None if it had gone."""
        target = self.path / _BROKEN / name_of(job_id)
        self.make_directories(target.parent)
        number = 1
        while os.path.lexists(target):
            target = target.with_name(f"{name_of(job_id)}.{number}")
            number += 1
        try:
            (self.path / name_of(job_id)).rename(target)
        except FileNotFoundError:
            return None
        return target

    def is_drained(self) -> bool:
        """Tell whether no more jobs are taken: whether there is a file named drain."""
        return os.path.lexists(self.path / "drain")

    def set_drained(self, *, drained: bool) -> None:
        """Say whether no more jobs are taken; raises OSError."""
        path = self.path / "drain"
        if drained:
            files.write_durably(path, b"", _MODE, self.owner)
        else:
            path.unlink(missing_ok=True)
            _sync(self.path)

    def remember(self, name: str, data: bytes) -> None:
        """Write a small file of our own beside the jobs; raises OSError."""
        files.write_durably(self.path / name, data, _MODE, self.owner)

    def recall(self, name: str) -> bytes | None:
        """Return a small file of our own, None if it is not there or unreadable."""
        try:
            return files.read_small(self._fd, name, 1024 * 1024)
        except (OSError, errors.Failure):
            return None

    # How.

    def _lock_it(self) -> None:
        # Not flock: that is how node daemons take turns with updates of copies. This one keeps
        # Ganeti's own master out, which locks with fcntl, and is not lost when somebody in this
        # process opens and closes the file.
        self._lock = os.open(
            self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE
        )
        try:
            fcntl.fcntl(
                self._lock, fcntl.F_OFD_SETLK, _WHOLE_FILE.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            )
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                raise errors.AlreadyRunning("", None, str(self.path)) from error
            raise

    def _write_some(
        self,
        writes: Sequence[Write],
        serial: int | None,
        results: dict[int, OSError | errors.Failure | None],
    ) -> OSError | None:
        """Write files whose names do not last yet; return why the serial number was not written.

        That one gets its name first: without it there are no new jobs.
        """
        opened: dict[int, int] = {}
        number = -1
        unnumbered: OSError | None = None
        try:
            if serial is not None:
                try:
                    number = self._fill(_SERIAL, b"%d\n" % serial)
                except OSError as error:
                    unnumbered = error
                    writes = [write for write in writes if not write.is_new]
            for write in writes:
                try:
                    self._check(write)
                    opened[write.job_id] = self._fill(name_of(write.job_id), write.data)
                except (OSError, errors.Failure) as error:
                    results[write.job_id] = error
            descriptors = [*([] if number < 0 else [number]), *opened.values()]
            side_by_side = len(descriptors) > 1
            synced = list((self._syncers.map if side_by_side else map)(_fsync, descriptors))
        finally:
            for descriptor in (number, *opened.values()):
                if descriptor >= 0:
                    os.close(descriptor)
        if number >= 0:
            unnumbered = self._name(_SERIAL, synced.pop(0))
        unsynced = dict(zip(opened, synced, strict=True))
        for write in writes:
            if write.job_id in opened:
                refused = (unnumbered if write.is_new else None) or unsynced[write.job_id]
                results[write.job_id] = self._name(name_of(write.job_id), refused)
        return unnumbered

    def _check(self, write: Write) -> None:
        """Raise Taken for a new job's number that is used, Removed for another's that is not."""
        is_there = self._is_there(name_of(write.job_id))
        if write.is_new and is_there:
            raise Taken(f"there is a {name_of(write.job_id)} already")
        if not write.is_new and not is_there:
            raise Removed(f"{name_of(write.job_id)} is gone")

    def _name(self, name: str, trouble: OSError | None) -> OSError | None:
        """Give what was written its name, or throw it away after trouble, which is returned."""
        trouble = trouble or self._rename(_TEMPORARY + name, name)
        if trouble is not None:
            self._discard(_TEMPORARY + name)
        return trouble

    def _rename(self, old: str, new: str) -> OSError | None:
        try:
            os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            return error
        return None

    def _fill(self, name: str, data: bytes) -> int:
        descriptor = os.open(_TEMPORARY + name, _NEW, _MODE, dir_fd=self._fd)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fchmod(descriptor, _MODE)
            if self.owner is not None:
                os.fchown(descriptor, *self.owner)
        except BaseException:
            os.close(descriptor)
            self._discard(_TEMPORARY + name)
            raise
        return descriptor

    def _discard(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._fd)

    def _is_there(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _names(self) -> list[str]:
        return os.listdir(self._fd)  # noqa: PTH208 - of this very directory, wherever it is

    def make_directories(self, path: Path) -> None:
        """Make a directory below the queue's, to whom that belongs; raises OSError."""
        missing = [p for p in (path, *path.parents) if p != self.path and self.path in p.parents]
        missing = [p for p in missing if not p.is_dir()]
        files.make_directories(path, _DIRECTORY_MODE)
        for made in missing:
            if self.owner is not None:
                os.chown(made, *self.owner)
            _sync(made.parent)

    def _archives(self) -> list[Path]:
        """Return the archive's directories, newest first."""
        found = [name for name in _names_in(self.path / _ARCHIVE) if name.isdecimal()]
        return [self.path / _ARCHIVE / name for name in sorted(found, key=int, reverse=True)]


def _names_in(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names, not paths
    except (FileNotFoundError, NotADirectoryError):
        return []


def _numbers_in(directory: Path) -> list[int]:
    return [int(found[1]) for found in map(_JOB.match, _names_in(directory)) if found]


def _broken_number(name: str) -> int | None:
    found = _JOB.match(name.partition(".")[0])
    return int(found[1]) if found else None


def _fsync(descriptor: int) -> OSError | None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        return error
    return None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
