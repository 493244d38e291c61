"""Whether a file is still the one that we wrote or read: its identity, and news of changes."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from pyganeti.base import inotify

_GLANCE: Final = 2.0
"""Seconds between looks where the kernel cannot tell of changes."""

_EVENTS: Final = inotify.MOVED_TO | inotify.DELETE | inotify.CLOSE_WRITE | inotify.CREATE

Identity = tuple[int, int, int, int]
"""Device, inode, size, and nanosecond of the last change."""


def identity(status: os.stat_result) -> Identity:
    """Return what a file is known by."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def identity_of(path: Path) -> Identity | None:
    """Return what the file at a path is known by, None if there is none; raises OSError."""
    try:
        return identity(path.stat())
    except FileNotFoundError:
        return None


async def changes(path: Path) -> AsyncIterator[None]:
    """Yield whenever something happened to the file; where nobody can tell, every other second."""
    queue = _queue()
    while queue is None:
        await asyncio.sleep(_GLANCE)
        yield
    loop = asyncio.get_running_loop()
    happened = asyncio.Event()
    loop.add_reader(queue.fd, happened.set)
    try:
        queue.add(str(path.parent), _EVENTS)
        yield  # what happened before we watched
        while True:
            await happened.wait()
            happened.clear()
            if any(name in {path.name, ""} for _, _, name in queue.read()):
                yield
    finally:
        loop.remove_reader(queue.fd)
        queue.close()


def _queue() -> inotify.Inotify | None:
    try:
        return inotify.Inotify()
    except OSError:  # the kernel's are spent
        return None
