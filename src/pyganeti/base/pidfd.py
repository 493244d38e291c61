"""Holds on processes that are not our children, and the statuses with which they ended.

A pidfd keeps meaning the process that it was opened on, and polls readable when all its threads
have ended. Since Linux 6.15 it also tells the exit status (`PIDFD_GET_INFO` with
`PIDFD_INFO_EXIT`, include/uapi/linux/pidfd.h), but only once the parent has reaped the process:
until then `exit_status` is None and /proc/PID/stat of the zombie tells it.
"""

import errno
import fcntl
import os
import platform
import re
import struct
from typing import Final

from pyganeti.base import errors

_INFO: Final = struct.Struct("=QQ11Ii")
"""struct pidfd_info as of Linux 6.13: mask, cgroup id, eleven ids, and since 6.15 exit_code."""

_GET_INFO: Final = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11  # _IOWR(0xFF, 11, …)
_INFO_EXIT: Final = 1 << 3
_ASK_FOR_EXIT: Final = _INFO.pack(_INFO_EXIT, *[0] * 13)
_SINCE: Final = (6, 15)

_OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def open(pid: int) -> int | None:  # noqa: A001 - reads as pidfd.open
    """Return a new descriptor that stands for the process; the caller closes it.

    None if there is no such process or the kernel does not give one; raises `errors.Exhausted`
    if no descriptor is left.
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _OUT_OF_DESCRIPTORS:
            raise errors.Exhausted(f"process {pid} cannot be held: {error.strerror}") from error
        return None


def exit_status(fd: int) -> int | None:
    """Return the wait status with which the process ended.

    None while it lives, while its parent has not reaped it, or if the kernel does not tell.
    Bit 7 (a core was dumped) is set as for a parent that waits.
    """
    information = bytearray(_ASK_FOR_EXIT)
    try:
        fcntl.ioctl(fd, _GET_INFO, information)
    except OSError:  # ENOTTY before 6.13, ESRCH before 6.15 once the process is gone
        return None
    told = _INFO.unpack(information)
    mask: int = told[0]
    status: int = told[-1]
    return status if mask & _INFO_EXIT else None


def supported() -> bool:
    """Tell whether pidfds tell exit statuses here.

    The kernel answers the question on a living process alike whether or not it could tell more
    later, hence the look at its version too. A kernel with the feature brought back is missed.
    """
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    if found is None or (int(found[1]), int(found[2])) < _SINCE:
        return False
    try:
        descriptor = os.pidfd_open(os.getpid())
    except OSError:
        return False
    try:
        fcntl.ioctl(descriptor, _GET_INFO, bytearray(_ASK_FOR_EXIT))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
