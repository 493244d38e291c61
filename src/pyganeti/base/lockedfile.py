"""A file that one process at a time works on: locked while it is open, replaced whole.

The lock is flock(2), on the file itself, as Ganeti's tools take it. A file that takes another's
place is locked before it does, so at no moment is there one that somebody else could lock; and who
locks a file that has been replaced meanwhile notices, and locks the new one.
"""

import fcntl
import os
from pathlib import Path
from typing import Final, Self

from pyganeti.base import dirlock, errors, files

_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ATTEMPTS: Final = 100


class LockedFile:
    """One such file, to be used as ``with``; it and its directory are made if need be."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        """Lock it, without waiting.

        Raises AlreadyRunning if somebody else has it, Unavailable if there can be no such file.
        """
        self.path: Final = path
        self._mode = mode
        try:
            files.make_directories(path.parent)
            self._fd = self._locked()
        except OSError as error:
            raise errors.Unavailable(f"{path} cannot be used: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; twice does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def read(self, limit: int) -> bytes:
        """Return what is in it; raises Damaged if that is more than ``limit`` bytes."""
        content = os.pread(self._fd, limit + 1, 0)
        if len(content) > limit:
            raise errors.Damaged(f"{self.path} has more than {limit} bytes")
        return content

    def replace(self, data: bytes) -> None:
        """Give it another content, durably; it stays locked. Raises Unavailable, the old one there.

        Blocks for as long as the disk takes.
        """
        try:
            fd = files.write_locked(self.path, data, self._mode)
        except OSError as error:
            raise errors.Unavailable(f"{self.path} cannot be written: {error.strerror}") from error
        self._fd, before = fd, self._fd
        os.close(before)

    def touch(self) -> None:
        """Have it be as new as if it had been replaced."""
        os.utime(self._fd)

    def _locked(self) -> int:
        for _ in range(_ATTEMPTS):
            fd = os.open(self.path, _OPEN, self._mode)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(fd, self.path):
                    return fd
            except BlockingIOError as error:
                pid = dirlock.holder(fd)
                os.close(fd)
                name = "" if pid is None else dirlock.command_name(pid)
                raise errors.AlreadyRunning(name, pid, str(self.path)) from error
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise errors.Unavailable(f"{self.path} comes and goes")


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False
