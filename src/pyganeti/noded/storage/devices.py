"""Block devices of the kernel's: whether a path is one, its numbers and its size.

Everything here blocks, a read of a broken device for long; it is called from threads.
"""

import os
import stat
from typing import Final

from pyganeti.base import errors

_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def numbers(path: str) -> tuple[int, int] | None:
    """Return the major and the minor number of a block device, None if there is none.

    A symlink is followed: under /dev nearly every name is one. Raises Denied if the path is
    something else.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a str on its way through
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISBLK(found.st_mode):
        raise errors.Denied(f"{path} is not a block device")
    return os.major(found.st_rdev), os.minor(found.st_rdev)


def size(path: str) -> int:
    """Return the size in bytes of a block device; raises OSError."""
    fd = os.open(path, _OPEN)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)
