"""What is written into the journal and read back at a start, statement by statement.

Everything here works on an open database inside a transaction that `journalfile` has begun, and
says nothing about files. A value that SQLite cannot hold is told and passed over, or handed back as
an error of its own row: no fault of the file, and no better next time.

Failure: SQLite's own errors leave this module as they are; `journalfile` translates them.
"""

import dataclasses
import enum
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from pyganeti.base import errors, log
from pyganeti.model import stop as stops
from pyganeti.wire import names, stopjournal

_T = TypeVar("_T")
_LOG = log.get(__name__)

Loaded = tuple[tuple[stops.Watched, ...], tuple[stops.Stop, ...]]
"""What an earlier run left: the qemus it watched, and the stops whose marker is still wanted."""

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
_IS_COUNTED: Final = "SELECT 1 FROM sqlite_master WHERE name = 'totals'"
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


def insert(database: sqlite3.Connection, stop: stops.Stop, marker: stopjournal.Marker) -> Stored:
    """Store a stop and end its watch; one whose key is known is left as it stands."""
    try:
        added = database.execute(_INSERT_STOP, (*stopjournal.stop_columns(stop), marker))
        database.execute("DELETE FROM watched WHERE key = ?", (stop.key,))
        if added.rowcount:
            number = added.lastrowid or 0
            return Stored(msgspec.structs.replace(stop, number=number), is_new=True)
        row = database.execute(_FIND_STOP, (stop.key,)).fetchone()
        return Stored(stopjournal.stop_from(row), is_new=False)
    except _NOT_A_ROW as error:
        return Stored(None, is_new=False, error=str(error))


def apply(database: sqlite3.Connection, note: Note) -> None:
    """Make a change that no one waits for; one that cannot be a row is left out."""
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


def read_all(database: sqlite3.Connection, boot_id: str) -> Loaded:
    """Return the watched qemus and the stops of this boot whose marker is wanted still."""
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


def tidy(database: sqlite3.Connection, boot_id: str) -> None:
    """Drop what an earlier run or boot left: its waiting sockets, markers wanted before."""
    database.execute("DELETE FROM waiting")
    database.execute(
        f"UPDATE stops SET marker = {stopjournal.Marker.DROPPED:d}"  # noqa: S608
        f" WHERE marker = {stopjournal.Marker.WANTED:d} AND boot_id <> ?",
        (boot_id,),
    )


def make_schema(database: sqlite3.Connection, last_number: int) -> None:
    """Make the tables of a new journal, whose numbers go on behind ``last_number``."""
    for statement in stopjournal.SCHEMA:
        database.execute(statement)
    give_identity(database)
    count(database)
    database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('stops', ?)", (last_number,))
    database.execute(f"PRAGMA application_id = {stopjournal.APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {stopjournal.VERSION}")


def has_identity(database: sqlite3.Connection) -> bool:
    """Tell whether the file has an id: those of early daemons have none."""
    return bool(database.execute(_IS_NAMED).fetchone())


def give_identity(database: sqlite3.Connection) -> None:
    """Give the file an id of its own."""
    database.execute(stopjournal.IDENTITY)
    database.execute("INSERT INTO identity (id) VALUES (?)", (secrets.token_hex(8),))


def is_counted(database: sqlite3.Connection) -> bool:
    """Tell whether the file counts its stops by cause: those of early daemons do not."""
    return bool(database.execute(_IS_COUNTED).fetchone())


def count(database: sqlite3.Connection) -> None:
    """Have the file count, beginning with what is there."""
    for statement in stopjournal.TOTALS:
        database.execute(statement)


def delete_oldest(database: sqlite3.Connection, *, excess: int, most: int, before: float) -> int:
    """Delete the ``excess`` oldest stops, and others of those recorded before a time.

    No more than ``most`` in all; returns how many.
    """
    deleted = database.execute(
        "DELETE FROM stops WHERE number IN (SELECT number FROM stops ORDER BY number LIMIT ?)",
        (excess,),
    ).rowcount
    return (
        deleted
        + database.execute(
            "DELETE FROM stops WHERE number IN (SELECT number FROM (SELECT number, recorded"
            " FROM stops ORDER BY number LIMIT ?) WHERE recorded < ?)",
            (most - excess, before),
        ).rowcount
    )


def count_oldest(database: sqlite3.Connection, *, excess: int, before: float) -> int:
    """Return how many stops are among the ``excess`` oldest, or were recorded before a time."""
    [count] = database.execute(
        "SELECT count(*) FROM stops WHERE recorded < ? OR number IN"
        " (SELECT number FROM stops ORDER BY number LIMIT ?)",
        (before, excess),
    ).fetchone()
    return int(count)
