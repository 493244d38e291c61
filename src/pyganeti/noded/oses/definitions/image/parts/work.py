"""Where a script works: a folder of its own below ``TMPDIR``, that is gone afterwards.

It may hold secrets, and as much as a disk. What a script that was killed has left there is removed
by the next one: a folder is locked as long as its script lives.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "ganeti-image-"
_YOUNG: Final = 60.0
"""Seconds for which one may be there and not be locked yet."""


@contextlib.contextmanager
def folder() -> Iterator[None]:
    """Have everything temporary be made in a folder that is removed at the end."""
    usual = tempfile.gettempdir()
    _sweep(Path(usual))
    own = Path(tempfile.mkdtemp(prefix=_PREFIX))
    fd = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        tempfile.tempdir = str(own)
        yield
    finally:
        tempfile.tempdir = usual
        shutil.rmtree(own, ignore_errors=True)
        os.close(fd)


def _sweep(place: Path) -> None:
    for left in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = left.lstat()
            if found.st_uid != os.geteuid() or found.st_mtime > time.time() - _YOUNG:
                continue
            fd = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its script lives if this fails
                shutil.rmtree(left)
            finally:
                os.close(fd)
