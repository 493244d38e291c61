"""Where the stop journal lies: making the file, telling it from another, setting it aside.

SQLite keeps two companions beside a file, ``-wal`` (the log, which may hold what the file does not
yet) and ``-shm``. They belong to the file's inode, not to its name: a log must never be applied to
another file that has come to have the name.

Failure: OSError from making a file, `errors.Damaged` if something else has its name,
`errors.Unavailable` if it cannot be set aside, and then it lies where it lay.
"""

import contextlib
import glob
import os
import pathlib
import stat
import time
from typing import Final

from pyganeti.base import errors, files

Identity = tuple[int, int] | None
"""The device and inode of a file; None if there is none."""

_FILE_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

_LOG: Final = "-wal"
_COMPANIONS: Final = (_LOG, "-shm")

_LOG_SIZE: Final = 4 * 1024 * 1024
"""Bytes of log to have beforehand: some two hundred stops, each by itself."""

_MOST_OF_ROOM: Final = 64
"""The log is enlarged only if the disk has room for so many of it."""

_MOST_BROKEN: Final = 5
"""Broken files kept; a disk that breaks every new one must not be filled with them."""


def log_of(path: pathlib.Path) -> pathlib.Path:
    """Return where SQLite keeps the log of the file at ``path``."""
    return _beside(path, _LOG)


def identity_of(path: pathlib.Path | str) -> Identity:
    """Return which file has the name now; a str is looked at in a tenth of the time of a Path."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a stop waits for it
    except OSError:
        return None
    return found.st_dev, found.st_ino


def has_log(path: pathlib.Path) -> bool:
    """Tell whether there may be something in the log that is not in the file."""
    try:
        return log_of(path).stat().st_size > 0
    except OSError:
        return False


def make(path: pathlib.Path) -> bool:
    """Make an empty file with the right mode, and its directory, if there is none.

    Tells whether the file is empty.
    """
    files.make_directories(path.parent, _DIRECTORY_MODE)
    try:
        found = path.stat()
    except FileNotFoundError:
        descriptor = os.open(path, _NEW, _FILE_MODE)
        try:
            os.fchmod(descriptor, _FILE_MODE)  # whatever the umask
        finally:
            os.close(descriptor)
        _sync(path.parent)
        return True
    if not stat.S_ISREG(found.st_mode):
        raise errors.Damaged("this is not a file")
    return found.st_size == 0


def grow_log(path: pathlib.Path) -> None:
    """Give the log of an open journal blocks on the disk before they are needed.

    A commit that has to enlarge the log makes the file system commit too, which takes half as
    long again. SQLite takes what follows its last valid frame for nothing, as it does with the
    rest of a log that it has begun anew. Does nothing where space is short.
    """
    log = log_of(path)
    with contextlib.suppress(OSError):
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            room = os.fstatvfs(descriptor)
            if size >= _LOG_SIZE or room.f_bavail * room.f_frsize < _LOG_SIZE * _MOST_OF_ROOM:
                return
            try:
                os.write(descriptor, bytes(_LOG_SIZE - size))
                os.fdatasync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)


def drop_log(path: pathlib.Path) -> None:
    """Remove the companions that a file left which had this name before."""
    for companion in _COMPANIONS:
        _beside(path, companion).unlink(missing_ok=True)


def set_aside(path: pathlib.Path, now: float) -> pathlib.Path | None:
    """Rename the file and its companions to ``….broken-TIME``; return that, None if it is gone."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    target = _beside(path, f".broken-{stamp}")
    counter = 1
    while os.path.lexists(target):
        counter += 1
        target = _beside(path, f".broken-{stamp}.{counter}")
    try:
        path.rename(target)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.Unavailable(f"the journal cannot be set aside: {error}") from error
    for companion in _COMPANIONS:
        with contextlib.suppress(OSError):  # mostly absent
            _beside(path, companion).rename(_beside(target, companion))
    _drop_oldest(path)
    return target


def _drop_oldest(path: pathlib.Path) -> None:
    found = path.parent.glob(f"{glob.escape(path.name)}.broken-*")
    broken = sorted(one for one in found if not one.name.endswith(_COMPANIONS))
    for one in broken[:-_MOST_BROKEN]:
        for suffix in ("", *_COMPANIONS):
            with contextlib.suppress(OSError):  # a directory stays
                _beside(one, suffix).unlink(missing_ok=True)


def _beside(path: pathlib.Path, suffix: str) -> pathlib.Path:
    return path.with_name(path.name + suffix)


def _sync(directory: pathlib.Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
