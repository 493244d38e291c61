"""One watcher a directory: a lock on the directory itself, whatever path leads to it.

The kernel gives it back when the descriptor is closed, in whichever way the process ends.
"""

import fcntl

from pyganeti.base import errors, lockowner


def lock(dirfd: int, what: str = "watches this directory") -> None:
    """Lock a directory by its descriptor; raises AlreadyRunning if somebody else has."""
    try:
        fcntl.flock(dirfd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        program, pid = lockowner.of(dirfd)
        raise errors.AlreadyRunning(program, pid, what) from None
