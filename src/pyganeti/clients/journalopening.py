"""Opening the stop journal's file to read it, and what goes wrong with that.

Failure: as `stopjournal` says.
"""

import os
import pathlib
import sqlite3
import urllib.parse
from typing import Final

from pyganeti.base import errors
from pyganeti.wire import stopjournal

_LOCK_WAIT: Final = 2.0
_DAMAGE: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
_PRIMARY: Final = 0xFF


def connect(path: pathlib.Path) -> tuple[sqlite3.Connection, bool]:
    """Return a connection, and whether it sees the file as it lies and no changes to it.

    Raises Unavailable if there is no file, or none that can be read now; Damaged if it is none.
    """
    if not path.exists():
        raise errors.Unavailable(f"there is no stop journal at {path}")
    if not path.is_file():
        raise errors.Damaged(f"{path} is not a file")
    try:
        return _connected(path, "mode=ro"), False
    except errors.Unavailable:
        # Without the right to write beside it, SQLite cannot follow a log. If there is none, the
        # file is whole, and nobody writes it: whoever did would have made one.
        if has_log(path):
            raise
        return _connected(path, "mode=ro&immutable=1"), True


def _connected(path: pathlib.Path, options: str) -> sqlite3.Connection:
    address = f"file:{urllib.parse.quote(os.fsencode(path.absolute()))}?{options}"
    database = None
    try:
        database = sqlite3.connect(address, uri=True, timeout=_LOCK_WAIT, isolation_level=None)
        stopjournal.check_version(
            int(database.execute("PRAGMA application_id").fetchone()[0]),
            int(database.execute("PRAGMA user_version").fetchone()[0]),
        )
    except BaseException as error:
        if database is not None:
            database.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise
    return database


def translated(error: sqlite3.Error, path: pathlib.Path) -> errors.Failure:
    """Return what an error of SQLite's about that file means."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY in _DAMAGE:
        return errors.Damaged(f"{path} cannot be read: {error}")
    return errors.Unavailable(f"{path} cannot be read now: {error}")


def identity_of(path: pathlib.Path) -> tuple[int, int] | None:
    """Return which file has the name now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def has_log(path: pathlib.Path) -> bool:
    """Tell whether there may be something in the log that is not in the file."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False
