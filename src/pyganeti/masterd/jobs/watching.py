"""Notices when somebody takes a job's file away by hand.

The kernel says so (inotify). Where it cannot, or has lost count, everything that should be there is
looked for: at once, or with the next look at the queue.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyganeti.base import inotify, log

_LOG = log.get(__name__)
_GONE: Final = inotify.MOVED_FROM | inotify.DELETE | inotify.ONLYDIR


class Watch:
    """Calls ``gone`` with a job's number when its file has gone, and ``lost`` if it lost count."""

    def __init__(self, gone: Callable[[int], None], lost: Callable[[], None]) -> None:
        self._gone = gone
        self._lost = lost
        self._queue: inotify.Inotify | None = None

    def open(self, path: Path) -> None:
        """Begin to watch a directory; without the kernel's help if that is not to be had."""
        try:
            self._queue = inotify.Inotify()
            self._queue.add(os.fspath(path), _GONE)
        except OSError as error:
            _LOG.warning("the queue's directory cannot be watched", reason=str(error))
            self.close()
            return
        asyncio.get_running_loop().add_reader(self._queue.fd, self._read, self._queue)

    def close(self) -> None:
        """Watch no longer; twice does no harm."""
        queue, self._queue = self._queue, None
        if queue is not None:
            asyncio.get_running_loop().remove_reader(queue.fd)
            queue.close()

    def _read(self, queue: inotify.Inotify) -> None:
        for _, mask, name in queue.read():
            if mask & inotify.OVERFLOW:
                self._lost()
            prefix, _, number = name.partition("-")
            if prefix == "job" and number.isascii() and number.isdecimal():
                self._gone(int(number))
