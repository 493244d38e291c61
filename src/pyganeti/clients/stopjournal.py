"""Reads the stop journal, while kvmd writes it or long after.

Never writes a row. Reading takes no lock that a writer waits for, and is done in short pieces, so
that a slow terminal cannot keep the writer's log from being folded in. Where the file may only be
read and its log is gone (kvmd has ended in order), it is read as it lies.

Failure: `errors.Unavailable` if there is no journal, if it may not be read or is locked;
`errors.Damaged` if it is none, is broken, or is of a newer format. Rows that are not legible
are passed over by `Reader.stops` and counted in `Reader.illegible`.
"""

import collections
import contextlib
import os
import pathlib
import sqlite3
import threading
import types
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self, TypeVar

from pyganeti.base import errors
from pyganeti.model import cause
from pyganeti.model import stop as rows
from pyganeti.wire import names, stopjournal

_T = TypeVar("_T")

_LOCK_WAIT: Final = 2.0
_CHUNK: Final = 500
"""Rows read at a time, so that no read lasts."""

_REMEMBERED: Final = 1000
"""Stops that `follow` recognises when they come again in another file."""

_DAMAGE: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
_PRIMARY: Final = 0xFF

Ended = Callable[[float], bool]
"""Waits for some seconds or less, and tells whether to end: an ``threading.Event().wait``."""


class Reader:
    """An opened journal. For one thread; a context manager."""

    def __init__(self, path: pathlib.Path) -> None:
        """Open the journal at ``path``; raises as the module says."""
        self.path = path
        self.illegible = 0
        self._identity = _identity_of(path)
        self._database, self._is_frozen = _opened(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def watched(self) -> list[rows.Watched]:
        """Return the qemus under watch, by name; those of the last run if kvmd is not running."""
        found = self._all(f"SELECT {stopjournal.WATCHED_COLUMNS} FROM watched")  # noqa: S608
        return sorted(self._legible(found, stopjournal.watched_from), key=lambda row: row.name)

    def waiting(self) -> list[rows.Waiting]:
        """Return the sockets that have not become watched qemus, by name."""
        found = self._all(f"SELECT {stopjournal.WAITING_COLUMNS} FROM waiting")  # noqa: S608
        return sorted(self._legible(found, stopjournal.waiting_from), key=lambda row: row.socket)

    def stops(
        self,
        *,
        name: str | None = None,
        since: float | None = None,
        causes: Sequence[cause.Cause] = (),
        after: int = 0,
        limit: int | None = None,
    ) -> Iterator[rows.Stop]:
        """Yield the stops that match all that is given, oldest first.

        ``since`` is a time of stopping in seconds since the epoch, ``after`` a number that is not
        itself wanted; of more than ``limit`` the newest are taken. A row that is pruned meanwhile
        is not yielded.
        """
        where, values = _condition(name, since, causes)
        if limit is not None:
            newest = self._all(
                f"SELECT number FROM stops WHERE number > ? AND {where}"  # noqa: S608
                " ORDER BY number DESC LIMIT 1 OFFSET ?",
                (after, *values, max(0, limit)),
            )
            after = newest[0][0] if newest else after
        while True:
            found = self._all(
                f"SELECT number, {stopjournal.STOP_COLUMNS} FROM stops"  # noqa: S608
                f" WHERE number > ? AND {where} ORDER BY number LIMIT {_CHUNK}",
                (after, *values),
            )
            yield from self._legible(found, stopjournal.stop_from)
            if len(found) < _CHUNK:
                return
            after = found[-1][0]

    def last(self, name: str) -> rows.Stop | None:
        """Return the last stop of a guest of that name."""
        return next(self.stops(name=name, limit=1), None)

    def last_number(self) -> int:
        """Return the highest number given so far, 0 if none was."""
        return int(self._all("SELECT coalesce(max(number), 0) FROM stops")[0][0])

    def follow(
        self, after: int, *, interval: float = 0.1, ended: Ended | None = None
    ) -> Iterator[rows.Stop]:
        """Yield the stops after number ``after``, and each further one as it is stored.

        Looks every ``interval`` seconds for whether anything was written, which costs some
        microseconds, until ``ended`` says so. Goes on over pruning, and over another file in this
        one's place: of that it yields all but what it has yielded before. While there is no file,
        or none that can be read, it waits for one.
        """
        wait = ended or threading.Event().wait
        seen: collections.deque[str] = collections.deque(maxlen=_REMEMBERED)
        version = -1
        while True:
            with contextlib.suppress(errors.Failure):
                if self._reopen_if_replaced():
                    after, version = 0, -1
                elif self._is_frozen and _has_log(self.path):
                    self._reopen()  # a writer has begun
                    version = -1
                found = int(self._all("PRAGMA data_version")[0][0])
                if found != version:
                    for stop in self.stops(after=after):
                        after = stop.number
                        if stop.key not in seen:
                            seen.append(stop.key)
                            yield stop
                    version = found
            if wait(interval):
                return

    def _reopen_if_replaced(self) -> bool:
        found = _identity_of(self.path)
        if found is None or found == self._identity:
            return False
        self._reopen()
        self._identity = found
        return True

    def _reopen(self) -> None:
        before = self._database
        self._database, self._is_frozen = _opened(self.path)
        before.close()

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error

    def _legible(
        self, found: Sequence[stopjournal.Row], decode: Callable[[stopjournal.Row], _T]
    ) -> Iterator[_T]:
        for row in found:
            try:
                legible = decode(row)
            except errors.Damaged:
                self.illegible += 1
            else:
                yield legible


def _condition(
    name: str | None, since: float | None, wanted: Sequence[cause.Cause]
) -> tuple[str, list[stopjournal.Column]]:
    """Return an SQL condition and its values."""
    parts, values = ["1"], list[stopjournal.Column]()
    if name is not None:
        parts.append("name = ?")
        values.append(names.to_column(name))
    if since is not None:
        parts.append("stopped >= ?")
        values.append(since)
    if wanted:
        parts.append(f"cause IN ({', '.join('?' * len(wanted))})")
        values.extend(one.value for one in wanted)
    return " AND ".join(parts), values


def _opened(path: pathlib.Path) -> tuple[sqlite3.Connection, bool]:
    """Return a connection, and whether it sees the file as it lies and no changes to it."""
    if not path.exists():
        raise errors.Unavailable(f"there is no stop journal at {path}")
    if not path.is_file():
        raise errors.Damaged(f"{path} is not a file")
    try:
        return _connected(path, "mode=ro"), False
    except errors.Unavailable:
        # Without the right to write beside it, SQLite cannot follow a log. If there is none, the
        # file is whole, and nobody writes it: whoever did would have made one.
        if _has_log(path):
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
            raise _translated(error, path) from error
        raise
    return database


def _translated(error: sqlite3.Error, path: pathlib.Path) -> errors.Failure:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY in _DAMAGE:
        return errors.Damaged(f"{path} cannot be read: {error}")
    return errors.Unavailable(f"{path} cannot be read now: {error}")


def _identity_of(path: pathlib.Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _has_log(path: pathlib.Path) -> bool:
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False
