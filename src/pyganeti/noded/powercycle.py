"""Rebooting the node at once, without asking anything of a disk that may be gone.

The kernel's trigger is opened when the daemon starts, and the daemon's memory is locked: when the
time comes one byte is written, and no file, no program and no library is needed. A thread of its
own writes it, for the event loop may by then wait for a disk that takes the log no more. Nothing is
synced and no instance is stopped: that is what it is for. A node below a root of its own has no
trigger, for the machine is not its alone.
"""

import os
import threading
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log, paths

_LOG = log.get(__name__)
DELAY: Final = 5.0
"""Seconds until the reboot: whoever asked for it wants an answer before."""

_REBOOT: Final = b"b"


def place_of(layout: paths.Paths) -> Path:
    """Return where the kernel takes the order."""
    return layout.localize("/proc/sysrq-trigger")


class Powercycle:
    """The trigger, open from the beginning."""

    def __init__(self, trigger: Path) -> None:
        self._trigger = trigger
        self._fd: int | None = None
        self._timer: threading.Timer | None = None
        self._held = threading.Lock()
        try:
            self._fd = os.open(trigger, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            _LOG.info("this node cannot be power-cycled", file=str(trigger), why=error.strerror)

    def schedule(self, delay: float = DELAY) -> None:
        """Reboot after so many seconds; raises Unavailable if that cannot be."""
        if self._fd is None:
            raise errors.Unavailable(f"there is no {self._trigger} to reboot this node by")
        with self._held:
            if self._timer is None:
                self._timer = threading.Timer(delay, self._pull)
                self._timer.daemon = True
                self._timer.start()
        _LOG.warning("this node reboots", seconds=delay)

    def close(self) -> None:
        """Let go of the trigger."""
        with self._held:
            if self._timer is not None:
                self._timer.cancel()
            fd, self._fd = self._fd, None
            if fd is not None:
                os.close(fd)

    def _pull(self) -> None:
        with self._held:
            if self._fd is not None:
                os.write(self._fd, _REBOOT)
            self._timer = None
