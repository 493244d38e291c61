"""The one place where files are removed: inside directories that are held open, never elsewhere.

A directory is opened step by step from one that is trusted (which the administrator may have put
elsewhere), and no step follows a symlink; what is in it is looked at and removed by name inside
that very directory. So nothing outside is ever touched, whoever may write there and whatever is
moved meanwhile. Only regular files are removed, and directories that are empty.

In failure: what cannot be removed is logged and counted, and the rest goes on.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, log

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_INSIDE: Final = _DIRECTORY | os.O_NOFOLLOW
_LOG: Final = log.get(__name__)


@dataclass(slots=True)
class Count:
    """What was done: files removed, or with ``dry_run`` to be removed, and failures."""

    dry_run: bool = False
    removed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file: its name, and when it was changed last."""

    name: str
    changed: float


class Place:
    """An open directory; ``path`` is how people call it."""

    def __init__(self, fd: int, path: Path, count: Count) -> None:
        self._fd = fd
        self._count = count
        self.path: Final = path

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator["Place | None"]:
        """Open a directory in this one, None if it is not there or is none."""
        path = self.path / name
        fd = _opened(name, _INSIDE, self._fd, path, self._count)
        if fd is None:
            yield None
            return
        try:
            yield Place(fd, path, self._count)
        finally:
            os.close(fd)

    def files(self) -> list[Found]:
        """Return its regular files, by name."""
        found = []
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    found.append(Found(name, status.st_mtime))
        return found

    def directories(self) -> list[str]:
        """Return the names of the directories in it."""
        found = []
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    found.append(name)
        return found

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a small file's content, None if there is none that can be read."""
        try:
            return files.read_small(self._fd, name, limit)
        except (OSError, errors.Failure) as error:
            _LOG.warning("a file cannot be read", file=str(self.path / name), why=str(error))
            return None

    def remove(self, name: str, why: str) -> bool:
        """Remove a file; tell whether it is gone, or with ``dry_run`` would be."""
        path = str(self.path / name)
        if self._count.dry_run:
            _LOG.info("would be removed", file=path, why=why)
            self._count.removed += 1
            return True
        try:
            if files.remove(self._fd, name):
                _LOG.info("removed", file=path, why=why)
                self._count.removed += 1
        except (OSError, errors.Failure) as error:
            _LOG.error("a file cannot be removed", file=path, why=str(error))
            self._count.failed += 1
            return False
        return True

    def remove_directory(self, name: str) -> None:
        """Remove a directory in this one if it is empty; if it is not, it stays, as it should."""
        if self._count.dry_run:
            return
        try:
            os.rmdir(name, dir_fd=self._fd)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
                path = str(self.path / name)
                _LOG.error("a directory cannot be removed", file=path, why=error.strerror)
                self._count.failed += 1

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._fd))  # noqa: PTH208 - of a descriptor
        except OSError as error:
            _LOG.error("a directory cannot be listed", directory=str(self.path), why=error.strerror)
            self._count.failed += 1
            return []


@contextlib.contextmanager
def opened(count: Count, base: Path, *parts: str) -> Iterator[Place | None]:
    """Open a directory below a trusted one, None if it is not there or cannot be looked at."""
    fd = _opened(str(base), _DIRECTORY, None, base, count)
    if fd is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, fd)
        place: Place | None = Place(fd, base, count)
        for part in parts:
            place = None if place is None else stack.enter_context(place.inside(part))
        yield place


def _opened(name: str, flags: int, parent: int | None, path: Path, count: Count) -> int | None:
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        _LOG.error("a directory is passed over", directory=str(path), why=error.strerror)
        count.failed += 1
        return None
