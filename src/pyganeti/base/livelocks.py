"""Files by which processes that carry out jobs show that they are alive: they keep them locked.

Ganeti's way, so that its tools see that our jobs' process lives, and we that a job process of its
lives on after its master daemon has ended. The lock is the kernel's, and goes with the process.
"""

import contextlib
import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from pyganeti.base import files

_WHOLE_FILE: Final = struct.Struct("hhqqi4x")


class Livelock:
    """Ours, in a directory of such files; raises OSError."""

    def __init__(self, directory: Path, now: float) -> None:
        files.make_directories(directory, 0o755)
        # In a container every master daemon may have the same pid: a name must be nobody's before.
        self.path: Final = directory / f"masterd_{os.getpid()}_{now:.6f}"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _lock(fcntl.F_WRLCK))
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Take the sign of life away; twice does no harm."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self._fd)
            self._fd = -1


def is_alive(path: str) -> bool:
    """Tell whether a process keeps that file locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock(fcntl.F_RDLCK))
    except OSError as error:
        return error.errno in {errno.EAGAIN, errno.EACCES}
    finally:
        os.close(fd)
    return False


def _lock(kind: int) -> bytes:
    return _WHOLE_FILE.pack(kind, os.SEEK_SET, 0, 0, 0)
