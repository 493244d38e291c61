"""A daemon's memory: kept from being swapped out, and given back when it is not needed.

A daemon that lives for months must not stay as large as its largest hour has made it. Python takes
what is larger than half a kilobyte from the C library, whose habits are those of short programs:
`settle` has it keep what comes and goes all the time, and give back the rest.
"""

import ctypes
import os
from typing import Final

from pyganeti.base import errors

_CURRENT: Final = 1
_FUTURE: Final = 2
_ON_FAULT: Final = 4


_TRIM_THRESHOLD: Final = -1  # <malloc.h>
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_LARGE: Final = 512 * 1024
_SPARE: Final = 1024 * 1024


def settle() -> None:
    """Have freed memory go back to the kernel; call it before the first thread.

    Blocks of half a megabyte and more (the bodies of calls, files on their way) get pages of their
    own, which go with them: left to itself the library takes the first such block for a sign to
    keep them all. Smaller ones share one heap, not one a thread, with a megabyte to spare, so
    that a connection's buffers cost no call to the kernel. Another C library has its own ways; then
    nothing happens.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        for option, value in (
            (_MMAP_THRESHOLD, _LARGE),
            (_TRIM_THRESHOLD, _SPARE),
            (_ARENA_MAX, 1),
        ):
            choose(option, value)


def lock() -> None:
    """Lock all that is mapped now into memory, and all that will be as soon as it is touched.

    What is mapped now is read from disk whole, which takes as long as that takes: call it when
    everything is imported. Later mappings are not: eight megabytes of stack for each thread would
    be memory for nothing. A child has no locks. Raises Denied if the process may not.
    """
    system = ctypes.CDLL(None, use_errno=True)
    for flags in (_CURRENT, _FUTURE | _ON_FAULT):
        if system.mlockall(flags):
            number = ctypes.get_errno()
            raise errors.Denied(f"the memory cannot be locked: {os.strerror(number)}")
