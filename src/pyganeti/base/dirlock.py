"""One daemon a directory: a lock on the directory itself, which needs no file in it.

The lock belongs to the open descriptor: it goes when the last copy of that is closed, at the latest
with the process, kill -9 included; it follows a renamed directory and dies with a deleted one. The
same process asking again through a second descriptor is refused like anyone else.
"""

import contextlib
import fcntl
import os
import re
from pathlib import Path
from typing import Final

from pyganeti.base import errors

_LOCKS: Final = Path("/proc/locks")
_NUMBER: Final = 32
_FIELDS: Final = 6
"""Number, FLOCK, ADVISORY, WRITE, pid, major:minor:inode, then the range."""


def lock(dirfd: int) -> None:
    """Lock an open directory, or raise AlreadyRunning with who has it. Never waits.

    Raises Unavailable where the file system cannot lock.
    """
    try:
        fcntl.flock(dirfd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = holder(dirfd)
        name = "" if pid is None else command_name(pid)
        raise errors.AlreadyRunning(name, pid, _path_of(dirfd)) from error
    except OSError as error:
        raise errors.Unavailable(f"{_path_of(dirfd)} cannot be locked: {error}") from error


def unlock(dirfd: int) -> None:
    """Give the lock back at once, even if a child still has a copy of the descriptor."""
    with contextlib.suppress(OSError):  # not locked, or on a file system that went away
        fcntl.flock(dirfd, fcntl.LOCK_UN)


def holder(fd: int) -> int | None:
    """Return the pid of a process that holds a lock on what ``fd`` is open on, None if unknown.

    A file that says the pid itself is asked first, and that process looked at. To read the kernel's
    list of locks stops every processor from changing one, and takes 10 to 20 ms.
    """
    named = _named(fd)
    if named is not None and holds(named, fd):
        return named
    return _listed(fd)


def holds(pid: int, fd: int) -> bool:
    """Tell whether a process is seen to hold a lock on what ``fd`` is open on."""
    wanted = os.fstat(fd)
    try:
        numbers = sorted(int(number) for number in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    except OSError:
        return False
    for number in numbers:
        with contextlib.suppress(OSError):  # closed in the meantime
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), wanted):  # noqa: PTH116
                said = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
                if re.search(r"^lock:.*\bFLOCK\b", said, re.MULTILINE):
                    return True
    return False


def _named(fd: int) -> int | None:
    """Return the number that a file begins with."""
    try:
        words = os.pread(fd, _NUMBER, 0).split()
    except OSError:  # a directory
        return None
    return int(words[0]) if words and words[0].isdigit() else None


def _listed(fd: int) -> int | None:
    """Look a lock up in the kernel's list.

    That names devices as only some file systems do in stat(): where no device fits, a process is
    believed that is seen to hold the lock.
    """
    found = os.fstat(fd)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    best: int | None = None
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if len(words) < _FIELDS or words[1] != "FLOCK":  # a "->" there is somebody who waits
            continue
        on, _, inode = words[5].rpartition(":")
        if inode != str(found.st_ino) or not words[4].isdecimal() or words[4] == "0":
            continue
        if on == device:
            return int(words[4])
        if holds(int(words[4]), fd):  # else it is another file of that number, elsewhere
            best = int(words[4])
    return best


def command_name(pid: int) -> str:
    """Return the name of a process's command as the kernel knows it, empty if it is gone."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""
    return "".join(c if c.isprintable() else "?" for c in name)


def _path_of(fd: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return "the directory"
