"""Locks that programs agree on by a file's name, Ganeti's too; nothing is in the file."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files

PATIENCE: Final = 10.0
_PAUSES: Final = (0.002, 0.1)


@contextlib.asynccontextmanager
async def exclusive(path: Path, patience: float = PATIENCE) -> AsyncIterator[None]:
    """Hold the lock; the file and its directory are made if need be.

    Raises Interrupted if somebody else holds it for longer than ``patience`` seconds, Unavailable
    if there can be no such file.
    """
    fd = _opened(path)
    try:
        await _lock(fd, path, patience)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def shared(path: Path) -> Iterator[bool]:
    """Hold the lock together with others who do; tell whether that is so: this never waits.

    False: somebody has it for himself. The file and its directory are made if need be. Raises
    Unavailable if there can be no such file.
    """
    fd = _opened(path)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _opened(path: Path) -> int:
    try:
        files.make_directories(path.parent, 0o755)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise errors.Unavailable(f"no lock at {path}: {error.strerror}") from error


async def _lock(fd: int, path: Path, patience: float) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + patience
    pause = _PAUSES[0]
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if loop.time() >= ends:
                raise errors.Interrupted(
                    f"somebody has held the lock {path} for {patience:.0f} s"
                ) from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, _PAUSES[1])
