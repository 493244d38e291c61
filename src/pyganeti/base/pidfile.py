"""One daemon a pid file: the lock says who runs, the number in the file only says it to people.

The file is locked for the daemon's life, so a stale one, whatever is in it, never keeps a daemon
from starting, and two that start at once never both do. It is removed at an orderly end, by its
owner only and while still locked. A disk too full for the number costs the number, not the start.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from pyganeti.base import dirlock, errors, files, log

_LOG = log.get(__name__)
_DIRECTORY_MODE: Final = 0o755
"""Other daemons, of other users, have their things in there too."""

_ATTEMPTS: Final = 100
_LONGEST: Final = 32


class PidFile:
    """A pid file, held from `acquire` to `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._owner = 0

    def acquire(self) -> None:
        """Lock the file and write this process's pid into it, making its directory if need be.

        Raises AlreadyRunning with the holder's pid and command name, Unavailable if the file
        cannot be made or locked.
        """
        try:
            files.make_directories(self.path.parent, _DIRECTORY_MODE)
            fd = self._open_locked()
        except OSError as error:
            raise errors.Unavailable(f"no pid file at {self.path}: {error}") from error
        self._fd = fd
        self._owner = os.getpid()
        number = b"%d\n" % self._owner
        try:
            # The new number first: at no time is the file empty, and a full disk has room for what
            # takes the old one's place.
            os.pwrite(fd, number, 0)
            os.ftruncate(fd, len(number))
        except OSError as error:
            _LOG.warning("the pid is not in the pid file", file=self.path, error=str(error))

    def release(self) -> None:
        """Remove the file if it is still ours, and unlock it. Harmless if it was never acquired."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        if self._owner == os.getpid():  # a forked child has a copy, but neither file nor lock
            try:
                if _is_at(fd, self.path):
                    self.path.unlink()
            except OSError as error:
                _LOG.warning("the pid file stays behind", file=self.path, error=str(error))
        os.close(fd)

    def _open_locked(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        for _ in range(_ATTEMPTS):
            fd = os.open(self.path, flags, 0o644)
            try:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise self._refusal(fd) from error
                if _is_at(fd, self.path):
                    os.fchmod(fd, 0o644)  # whatever the umask: anyone may know the pid
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # its owner removed it between our open and our lock
        raise errors.Unavailable(f"the pid file {self.path} comes and goes")

    def _refusal(self, fd: int) -> errors.AlreadyRunning:
        """Name the holder: the kernel knows best, the number in the file is next."""
        pid = dirlock.holder(fd)
        if pid is None:
            words = os.pread(fd, _LONGEST, 0).split(maxsplit=1)
            pid = int(words[0]) if words and words[0].isdigit() else None
        name = "" if pid is None else dirlock.command_name(pid)
        return errors.AlreadyRunning(name, pid, str(self.path))


def _is_at(fd: int, path: Path) -> bool:
    """Say whether the open file is the one that has the path."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))
