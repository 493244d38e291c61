"""The stop journal's file: the only place in the daemon that speaks SQLite.

Everything here blocks and belongs to one thread, the writer's. SQLite's own errors do not leave
this module; they become

- `errors.Damaged`: this file will not do (no database, malformed, newer format, no file at all);
  the caller sets it aside and begins a new one;
- `errors.Exhausted`: the disk is full; try again later;
- `errors.Unavailable`: anything else (locked, read-only, gone, I/O error); close, open, try again.

Invariants: WAL, so what was committed survives the daemon at once, and the machine once
`journalsync` has had its turn; a stop and the end of its watch are one transaction; no commit waits
for a checkpoint, since SQLite's automatic ones are off and the writer takes its own when idle.

SQLite's locks are POSIX locks, which vanish when the process closes *any* descriptor of the
file: nothing else in the daemon may open it.
"""

import contextlib
import dataclasses
import enum
import functools
import os
import pathlib
import secrets
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from pyganeti.base import errors, log
from pyganeti.kvmd import journalplace
from pyganeti.model import stop as stops
from pyganeti.wire import names, stopjournal

_T = TypeVar("_T")
_LOG = log.get(__name__)

Loaded = tuple[tuple[stops.Watched, ...], tuple[stops.Stop, ...]]
"""What an earlier run left: the qemus it watched, and the stops whose marker is still wanted."""

_PRAGMAS: Final = (
    "synchronous = NORMAL",  # see `journalsync`
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

_NOT_A_ROW: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    msgspec.MsgspecError,
    errors.Damaged,
    OverflowError,
    TypeError,
    UnicodeError,
)
"""What a value that SQLite cannot hold raises: no fault of the file, and no better next time."""

_MARKS: Final = ", ".join("?" * (stopjournal.STOP_COLUMNS.count(",") + 1))
_INSERT_STOP: Final = (
    f"INSERT INTO stops ({stopjournal.STOP_COLUMNS}, marker) VALUES ({_MARKS}, ?)"  # noqa: S608
    " ON CONFLICT (key) DO NOTHING"
)
_FIND_STOP: Final = f"SELECT number, {stopjournal.STOP_COLUMNS} FROM stops WHERE key = ?"  # noqa: S608
_WATCH: Final = (
    f"INSERT OR REPLACE INTO watched ({stopjournal.WATCHED_COLUMNS})"  # noqa: S608
    f" SELECT {', '.join('?' * (stopjournal.WATCHED_COLUMNS.count(',') + 1))}"
    " WHERE NOT EXISTS (SELECT 1 FROM stops WHERE key = ?)"
)
_IS_NAMED: Final = "SELECT 1 FROM sqlite_master WHERE name = 'identity'"
_WAIT: Final = f"INSERT OR REPLACE INTO waiting ({stopjournal.WAITING_COLUMNS}) VALUES (?, ?, ?, ?)"  # noqa: S608


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """What became of one stop: the row as it stands, None if it cannot be one; and if it is new."""

    stop: stops.Stop | None
    is_new: bool
    error: str = ""


class Subject(enum.Enum):
    """What a `Note` is about."""

    WATCHED = enum.auto()
    WAITING = enum.auto()
    MARKER = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """A change that no one waits for: of a watched qemu, a waiting socket, or a stop's marker.

    ``key`` is the qemu's, or the socket's file name. ``value`` is the new row, or the marker's
    new state; None deletes the row.
    """

    subject: Subject
    key: str
    value: stops.Watched | stops.Waiting | stopjournal.Marker | None


class JournalFile:
    """An open journal. Closed, it can be opened again; it is not to be shared between threads."""

    def __init__(self, path: pathlib.Path, *, keep_days: float, keep_rows: int) -> None:
        self.path = path
        self._names = str(path), str(journalplace.log_of(path))
        self._keep_seconds = keep_days * 86_400
        self._keep_rows = keep_rows
        self._database: sqlite3.Connection | None = None
        self._identity: journalplace.Identity = None
        self._log_identity: journalplace.Identity = None
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
            was_made = journalplace.make(self.path)
            self._identity = journalplace.identity_of(self.path)
            self._database = sqlite3.connect(
                self.path, timeout=_LOCK_WAIT, isolation_level=None, cached_statements=32
            )
            self._set_up()
            journalplace.grow_log(self.path)
        except sqlite3.Error as error:
            self.close()
            raise _translated(error) from error
        except OSError as error:
            self.close()
            raise errors.Unavailable(f"the journal cannot be opened: {error}") from error
        except errors.Failure:
            self.close()
            raise
        self._log_identity = journalplace.identity_of(journalplace.log_of(self.path))
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
            journalplace.identity_of(name) == self._identity
            and journalplace.identity_of(log) == self._log_identity
        )

    def set_aside(self, now: float) -> pathlib.Path | None:
        """Close the file and rename it, so that the next to be opened is another one.

        Returns the new path, None if there was nothing. Raises `errors.Unavailable`.
        """
        self.close()
        kept = journalplace.set_aside(self.path, now)
        self._is_successor = True
        return kept

    def store(self, batch: Iterable[tuple[stops.Stop, stopjournal.Marker]]) -> list[Stored]:
        """Store stops and end their watches in one transaction; the result is in their order.

        A stop whose key is known is left as it stands. One that cannot be a row (`Stored.error`)
        does not keep the others out.
        """
        return self._transact(lambda database: [self._insert(database, *one) for one in batch])

    def note(self, notes: Sequence[Note]) -> None:
        """Apply changes in one transaction; those that cannot be rows are left out."""

        def work(database: sqlite3.Connection) -> None:
            for note in notes:
                _apply(database, note)

        self._transact(work)

    def load(self, boot_id: str) -> Loaded:
        """Return the watched qemus and the stops of this boot whose marker is wanted still."""
        return self._transact(functools.partial(_read_all, boot_id=boot_id), "BEGIN")

    def peek(self, boot_id: str) -> Loaded:
        """Do what `load` does on a file that cannot be opened to write to, on a full disk, say.

        Raises `errors.Unavailable` if there is a log beside it, which it could not take in.
        """
        self.close()
        if journalplace.has_log(self.path):
            raise errors.Unavailable("the journal cannot be read without its log")
        address = urllib.parse.quote(os.fsencode(self.path.absolute()))
        try:
            database = sqlite3.connect(f"file:{address}?mode=ro&immutable=1", uri=True)
            try:
                stopjournal.check_version(*_stamps(database))
                return _read_all(database, boot_id)
            finally:
                database.close()
        except sqlite3.Error as error:
            raise _translated(error) from error

    def tidy(self, boot_id: str) -> None:
        """Drop what an earlier run or boot left: its waiting sockets, markers wanted before."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM waiting")
            database.execute(
                f"UPDATE stops SET marker = {stopjournal.Marker.DROPPED:d}"  # noqa: S608
                f" WHERE marker = {stopjournal.Marker.WANTED:d} AND boot_id <> ?",
                (boot_id,),
            )

        self._transact(work)

    def prune(self, now: float) -> bool:
        """Delete a bite of the rows that are too old or too many; tell whether there are more."""

        def bite(database: sqlite3.Connection) -> int:
            if self._count is None:
                self._count = int(database.execute("SELECT count(*) FROM stops").fetchone()[0])
            excess = min(_PRUNE_BITE, max(0, self._count - self._keep_rows))
            deleted = database.execute(
                "DELETE FROM stops WHERE number IN (SELECT number FROM stops ORDER BY number"
                " LIMIT ?)",
                (excess,),
            ).rowcount
            deleted += database.execute(
                "DELETE FROM stops WHERE number IN (SELECT number FROM (SELECT number, recorded"
                " FROM stops ORDER BY number LIMIT ?) WHERE recorded < ?)",
                (_PRUNE_BITE - excess, now - self._keep_seconds),
            ).rowcount
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

    def _insert(
        self, database: sqlite3.Connection, stop: stops.Stop, marker: stopjournal.Marker
    ) -> Stored:
        try:
            added = database.execute(_INSERT_STOP, (*stopjournal.stop_columns(stop), marker))
            database.execute("DELETE FROM watched WHERE key = ?", (stop.key,))
            if added.rowcount:
                number = added.lastrowid or 0
                self._last_number = number
                if self._count is not None:
                    self._count += 1
                return Stored(msgspec.structs.replace(stop, number=number), is_new=True)
            row = database.execute(_FIND_STOP, (stop.key,)).fetchone()
            return Stored(stopjournal.stop_from(row), is_new=False)
        except _NOT_A_ROW as error:
            return Stored(None, is_new=False, error=str(error))

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise errors.Unavailable("the journal is not open")
        return self._database

    def _drop_orphaned_log(self) -> None:
        """Remove the log of our former file if another has its place: it must not be applied."""
        if (
            self._identity not in (None, journalplace.identity_of(self.path))
            and self._log_identity is not None
            and self._log_identity == journalplace.identity_of(journalplace.log_of(self.path))
        ):
            journalplace.drop_log(self.path)

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
            self._transact(self._make_schema)
        elif not database.execute(_IS_NAMED).fetchone():
            self._transact(_give_identity)
        found = database.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0]
        self._last_number = max(self._last_number, found or 0)

    def _make_schema(self, database: sqlite3.Connection) -> None:
        for statement in stopjournal.SCHEMA:
            database.execute(statement)
        _give_identity(database)
        # Numbers go on rising over a file that was set aside, if its last one is known.
        database.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('stops', ?)", (self._last_number,)
        )
        database.execute(f"PRAGMA application_id = {stopjournal.APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {stopjournal.VERSION}")


def _give_identity(database: sqlite3.Connection) -> None:
    database.execute(stopjournal.IDENTITY)
    database.execute("INSERT INTO identity (id) VALUES (?)", (secrets.token_hex(8),))


def _apply(database: sqlite3.Connection, note: Note) -> None:
    try:
        match note.value:
            case stops.Watched() as watched:
                database.execute(_WATCH, (*stopjournal.watched_columns(watched), note.key))
            case stops.Waiting() as waiting:
                database.execute(_WAIT, stopjournal.waiting_columns(waiting))
            case stopjournal.Marker() as marker:
                database.execute("UPDATE stops SET marker = ? WHERE key = ?", (marker, note.key))
            case None if note.subject is Subject.WAITING:
                database.execute(
                    "DELETE FROM waiting WHERE socket = ?", (names.to_column(note.key),)
                )
            case None:
                database.execute("DELETE FROM watched WHERE key = ?", (note.key,))
    except _NOT_A_ROW as error:
        _LOG.error("a change cannot be journaled", key=note.key, error=str(error))


def _read_all(database: sqlite3.Connection, boot_id: str) -> Loaded:
    watched = f"SELECT {stopjournal.WATCHED_COLUMNS} FROM watched ORDER BY since"  # noqa: S608
    wanted = (
        f"SELECT number, {stopjournal.STOP_COLUMNS} FROM stops"  # noqa: S608
        f" WHERE marker = {stopjournal.Marker.WANTED:d} AND boot_id = ? ORDER BY number"
    )
    return (
        tuple(_legible(database.execute(watched).fetchall(), stopjournal.watched_from)),
        tuple(_legible(database.execute(wanted, (boot_id,)).fetchall(), stopjournal.stop_from)),
    )


def _legible(rows: Iterable[stopjournal.Row], decode: Callable[[stopjournal.Row], _T]) -> list[_T]:
    found: list[_T] = []
    for row in rows:
        try:
            found.append(decode(row))
        except errors.Damaged as error:
            _LOG.error("a row of the journal is passed over", error=str(error))
    return found


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
