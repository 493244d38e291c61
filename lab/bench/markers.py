"""Sees each ``NAME.shutdown`` when it appears, by inotify, and notes the time.

A thread does nothing but wait for the next, so that what else the benchmark does costs the time of
seeing it next to nothing. Where the kernel's queue overflows, `Markers.wait` raises: a benchmark
that has lost sight of what it measures must not go on.
"""

import os
import select
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pyganeti.base import inotify

SUFFIX: Final = ".shutdown"
_SWITCH_INTERVAL: Final = 0.0001


class Lost(Exception):
    """The kernel dropped events."""


class Markers:
    """Times of appearance by guest name, CLOCK_MONOTONIC in nanoseconds; a context manager."""

    def __init__(self, directory: Path) -> None:
        self._changed = threading.Condition()
        self._seen: dict[str, int] = {}
        self._is_lost = False
        self._queue = inotify.Inotify()
        self._queue.add(str(directory), inotify.CREATE | inotify.MOVED_TO)
        self._ended = os.eventfd(0)
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.eventfd_write(self._ended, 1)
        self._thread.join()
        self._queue.close()
        os.close(self._ended)

    def wait(self, names: Collection[str], *, within: float) -> dict[str, int]:
        """Wait for the markers of these guests; return the times of those that came in time."""
        wanted = set(names)
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_lost or wanted <= self._seen.keys(), timeout=within
            )
            if self._is_lost:
                raise Lost("inotify dropped events")
            return {name: self._seen[name] for name in wanted if name in self._seen}

    def _follow(self) -> None:
        poll = select.poll()
        poll.register(self._queue.fd, select.POLLIN)
        poll.register(self._ended, select.POLLIN)
        while True:
            ready = poll.poll()
            now = time.monotonic_ns()
            if any(descriptor == self._ended for descriptor, _ in ready):
                return
            events = self._queue.read()
            with self._changed:
                for _, mask, name in events:
                    if name.endswith(SUFFIX):
                        self._seen.setdefault(name.removesuffix(SUFFIX), now)
                    self._is_lost |= bool(mask & inotify.OVERFLOW)
                self._changed.notify_all()
