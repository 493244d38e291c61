"""Tells when something is mounted or unmounted, which inotify does not.

/proc/self/mountinfo reports a change as a priority event, and looking consumes it. It lies in an
epoll of its own, which the loop watches; the loop's look at that epoll consumes the event, so the
wake itself is the news and there is nothing left to read (seen on Linux 6.18).

In failure: without /proc, or without descriptors, `MountTable` raises OSError; its user then has
only its own periodic look.
"""

import asyncio
import os
import select
from collections.abc import Callable


class MountTable:
    """Calls back on every change of this process's mounts, from the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_changed: Callable[[], None],
        *,
        path: str = "/proc/self/mountinfo",
    ) -> None:
        """Begin to watch; ``on_changed`` must bear a call for nothing."""
        self._loop = loop
        self._on_changed = on_changed
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._epoll = select.epoll()
        except OSError:
            os.close(self._fd)
            raise
        try:
            self._epoll.register(self._fd, select.EPOLLPRI | select.EPOLLERR)
            loop.add_reader(self._epoll.fileno(), self._changed)
        except OSError:
            self._epoll.close()
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Watch no longer; twice does no harm."""
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        os.close(self._fd)

    def _changed(self) -> None:
        self._epoll.poll(0)
        self._on_changed()
