"""Keeping a process in memory: it answers while the machine swaps, or its root disk is gone."""

import ctypes
import os
from typing import Final

from pyganeti.base import errors

_CURRENT: Final = 1
_FUTURE: Final = 2
_ON_FAULT: Final = 4


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
