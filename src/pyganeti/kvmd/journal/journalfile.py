"""The stop journal's file: opened, written in transactions, folded, pruned, closed.

Everything here blocks and belongs to one thread, the writer's. SQLite's own errors do not leave
this module (what is said to SQLite inside a transaction is `rows`); they become

- `errors.Damaged`: this file will not do (no database, malformed, newer format, no file at all);
  the caller sets it aside and begins a new one;
- `errors.Exhausted`: the disk is full; try again later;
- `errors.Unavailable`: anything else (locked, read-only, gone, I/O error); close, open, try again.

Invariants: WAL, so what was committed survives the daemon at once, and the machine once
`syncing` has had its turn; a stop and the end of its watch are one transaction; no commit waits
for a checkpoint, since SQLite's automatic ones are off and the writer takes its own when idle.

SQLite's locks are POSIX locks, which vanish when the process closes *any* descriptor of the
file: nothing else in the daemon may open it.
"""

import contextlib
import functools
import os
import pathlib
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from pyganeti.base import errors, log
from pyganeti.kvmd.journal import place, rows
from pyganeti.model import stop as stops
from pyganeti.wire import stopjournal

_T = TypeVar("_T")
_LOG = log.get(__name__)

_PRAGMAS: Final = (
    "synchronous = NORMAL",  # see `syncing`
    "wal_autocheckpoint = 0",
    f"journal_size_limit = {32 * 1024 * 1024}",
    f"cache_size = {-1024}",  # KiB
    "temp_store = MEMORY",
    "secure_delete = OFF",  # Debian's default is ON, which doubles what a deletion writes
)

_LOCK_WAIT: Final = 0.2
"""Seconds to wait for somebody else's lock (an administrator's sqlite3, say)."""

_PRUNE_BITE: Final = 200
"""Rows pruned in one transaction: about a millisecond, which a stop may have to wait."""

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_PRIMARY: Final = 0xFF
"""The part of an extended SQLite error code that is the code."""


class JournalFile:
    """An open journal. Closed, it can be opened again; it is not to be shared between threads."""

    def __init__(self, path: pathlib.Path, *, keep_days: float, keep_rows: int) -> None:
        self.path = path
        self._names = str(path), str(place.log_of(path))
        self._keep_seconds = keep_days * 86_400
        self._keep_rows = keep_rows
        self._database: sqlite3.Connection | None = None
        self._identity: place.Identity = None
        self._log_identity: place.Identity = None
        self._is_successor = False
        self._last_number = 0
        self._count: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a file to write to."""
        return self._database is not None

    def open(self) -> bool:
        """Open the file, making it (and its directory) if need be.

        Tells whether it is another one than when it was opened the last time.
        """
        self.close()
        before = self._identity
        try:
            self._drop_orphaned_log()
            was_made = place.make(self.path)
            self._identity = place.identity_of(self.path)
            self._database = sqlite3.connect(
                self.path, timeout=_LOCK_WAIT, isolation_level=None, cached_statements=32
            )
            self._set_up()
            place.grow_log(self.path)
        except sqlite3.Error as error:
            self.close()
            raise _translated(error) from error
        except OSError as error:
            self.close()
            raise errors.Unavailable(f"the journal cannot be opened: {error}") from error
        except errors.Failure:
            self.close()
            raise
        self._log_identity = place.identity_of(place.log_of(self.path))
        is_another = self._is_successor or (
            before is not None and (was_made or before != self._identity)
        )
        self._is_successor = False
        return is_another

    def close(self) -> None:
        """Close the file; SQLite then folds its log into it, if it can."""
        database, self._database = self._database, None
        self._count = None
        if database is not None:
            try:
                database.close()
            except sqlite3.Error as error:  # nothing was promised that is not on disk
                _LOG.debug("the journal was not closed in order", error=str(error))

    def is_replaced(self) -> bool:
        """Tell whether the file that is open, or its log, is no longer the one under its name."""
        name, log = self._names
        return self.is_open and not (
            place.identity_of(name) == self._identity
            and place.identity_of(log) == self._log_identity
        )

    def set_aside(self, now: float) -> pathlib.Path | None:
        """Close the file and rename it, so that the next to be opened is another one.

        Returns the new path, None if there was nothing. Raises `errors.Unavailable`.
        """
        self.close()
        kept = place.set_aside(self.path, now)
        self._is_successor = True
        return kept

    def store(self, batch: Iterable[tuple[stops.Stop, stopjournal.Marker]]) -> list[rows.Stored]:
        """Store stops and end their watches in one transaction; the result is in their order.

        A stop whose key is known is left as it stands. One that cannot be a row (`Stored.error`)
        does not keep the others out.
        """
        found = self._transact(lambda database: [rows.insert(database, *one) for one in batch])
        added = [one.stop.number for one in found if one.is_new and one.stop is not None]
        self._last_number = max((self._last_number, *added))
        if self._count is not None:
            self._count += len(added)
        return found

    def note(self, notes: Sequence[rows.Note]) -> None:
        """Apply changes in one transaction; those that cannot be rows are left out."""

        def work(database: sqlite3.Connection) -> None:
            for note in notes:
                rows.apply(database, note)

        self._transact(work)

    def load(self, boot_id: str) -> rows.Loaded:
        """Return the watched qemus and the stops of this boot whose marker is wanted still."""
        return self._transact(functools.partial(rows.read_all, boot_id=boot_id), "BEGIN")

    def peek(self, boot_id: str) -> rows.Loaded:
        """Do what `load` does on a file that cannot be opened to write to, on a full disk, say.

        Raises `errors.Unavailable` if there is a log beside it, which it could not take in.
        """
        self.close()
        if place.has_log(self.path):
            raise errors.Unavailable("the journal cannot be read without its log")
        address = urllib.parse.quote(os.fsencode(self.path.absolute()))
        try:
            database = sqlite3.connect(f"file:{address}?mode=ro&immutable=1", uri=True)
            try:
                stopjournal.check_version(*_stamps(database))
                return rows.read_all(database, boot_id)
            finally:
                database.close()
        except sqlite3.Error as error:
            raise _translated(error) from error

    def tidy(self, boot_id: str) -> None:
        """Drop what an earlier run or boot left: its waiting sockets, markers wanted before."""
        self._transact(functools.partial(rows.tidy, boot_id=boot_id))

    def prunable(self, now: float) -> int:
        """Return how many rows are too old or too many."""

        def count(database: sqlite3.Connection) -> int:
            rows_now = int(database.execute("SELECT count(*) FROM stops").fetchone()[0])
            return rows.count_oldest(
                database,
                excess=max(0, rows_now - self._keep_rows),
                before=now - self._keep_seconds,
            )

        return self._transact(count, "BEGIN")

    def prune(self, now: float) -> bool:
        """Delete a bite of the rows that are too old or too many; tell whether there are more."""

        def bite(database: sqlite3.Connection) -> int:
            if self._count is None:
                self._count = int(database.execute("SELECT count(*) FROM stops").fetchone()[0])
            deleted = rows.delete_oldest(
                database,
                excess=min(_PRUNE_BITE, max(0, self._count - self._keep_rows)),
                most=_PRUNE_BITE,
                before=now - self._keep_seconds,
            )
            self._count -= deleted
            return deleted

        return self._transact(bite) >= _PRUNE_BITE

    def checkpoint(self) -> None:
        """Fold the log into the file as far as readers allow, so that the log begins anew."""
        try:
            self._opened().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise _translated(error) from error

    def _transact(
        self, work: Callable[[sqlite3.Connection], _T], begin: str = "BEGIN IMMEDIATE"
    ) -> _T:
        database = self._opened()
        try:
            database.execute(begin)
            result = work(database)
            database.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(database)
            raise _translated(error) from error
        except BaseException:
            _roll_back(database)
            raise
        return result

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise errors.Unavailable("the journal is not open")
        return self._database

    def _drop_orphaned_log(self) -> None:
        """Remove the log of our former file if another has its place: it must not be applied."""
        if (
            self._identity not in (None, place.identity_of(self.path))
            and self._log_identity is not None
            and self._log_identity == place.identity_of(place.log_of(self.path))
        ):
            place.drop_log(self.path)

    def _set_up(self) -> None:
        database = self._opened()
        stamps = _stamps(database)
        is_empty = not database.execute("SELECT 1 FROM sqlite_master").fetchone()
        if stamps != (0, 0) or not is_empty:
            stopjournal.check_version(*stamps)  # before anything is changed in it
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        for pragma in _PRAGMAS:
            database.execute(f"PRAGMA {pragma}").fetchall()
        if is_empty:
            self._transact(functools.partial(rows.make_schema, last_number=self._last_number))
        else:
            if not rows.has_identity(database):
                self._transact(rows.give_identity)
            if not rows.is_counted(database):
                self._transact(rows.count)
        found = database.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0]
        self._last_number = max(self._last_number, found or 0)


def _stamps(database: sqlite3.Connection) -> tuple[int, int]:
    return (
        int(database.execute("PRAGMA application_id").fetchone()[0]),
        int(database.execute("PRAGMA user_version").fetchone()[0]),
    )


def _roll_back(database: sqlite3.Connection) -> None:
    if database.in_transaction:
        with contextlib.suppress(sqlite3.Error):  # the caller learns of the first failure
            database.execute("ROLLBACK")


def _translated(error: sqlite3.Error) -> errors.Failure:
    code = getattr(error, "sqlite_errorcode", None)
    primary = _PRIMARY & code if code is not None else None
    if primary in _DAMAGE:
        return errors.Damaged(str(error))
    if primary == sqlite3.SQLITE_FULL:
        return errors.Exhausted(str(error))
    if primary == sqlite3.SQLITE_ERROR:
        # Our statements are right, so it is the file that has other tables than ours.
        return errors.Damaged(str(error))
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return errors.Unavailable(f"{error} ({name})")
