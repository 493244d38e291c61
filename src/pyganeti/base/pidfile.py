"""Pid files that are locked while their daemon lives, so that a stale one never stands in the way.

The lock is what counts, the number in the file is for people and for ``kill``. A file is removed
only by the process that holds its lock, and only while the path still leads to it.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from pyganeti.base import errors, lockowner

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS: Final = 10


class PidFile:
    """One pid file; `acquire` it before, `release` it after the daemon's life."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Lock the file and write our pid into it, making its directory if need be.

        Raises AlreadyRunning if another process has it, Unavailable if it cannot be made.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            for _ in range(_ATTEMPTS):
                if self._try():
                    return
        except OSError as error:
            raise errors.Unavailable(f"{self._path}: {error.strerror}") from error
        raise errors.Unavailable(f"{self._path} is replaced all the time")

    def release(self) -> None:
        """Remove the file and give the lock back; nothing happens if it is not ours."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with contextlib.suppress(OSError):
            if self._leads_to(descriptor):
                self._path.unlink()
        os.close(descriptor)

    def _try(self) -> bool:
        descriptor = os.open(self._path, _FLAGS, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                program, pid = lockowner.of(descriptor)
                raise errors.AlreadyRunning(program, pid, f"holds {self._path}") from None
            if not self._leads_to(descriptor):  # its last owner removed it just before
                os.close(descriptor)
                return False
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def _leads_to(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


def holder(path: Path) -> int | None:
    """Return the pid of the process that holds a pid file now, None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError):
            return int(os.read(descriptor, 32))
        return lockowner.of(descriptor)[1]
    finally:
        os.close(descriptor)
    return None
