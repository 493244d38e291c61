"""The stop journal's format: an SQLite file that kvmd writes and that anybody may read.

Version 1. ``stops`` has a row for every stop, ``watched`` one for every qemu under watch (which
is how evidence outlives the daemon), ``waiting`` one for every socket that has not become a
watched qemu; ``identity`` has one row, the file's own id, which no other journal has; ``totals``
counts for each cause all stops that ever came into the file, pruned or not (the files of early
daemons have neither until they are next written). Times are seconds since the epoch. Names and
file names are TEXT, or BLOB where they are not UTF-8. ``evidence`` and ``events`` are JSON in which
a key at its default is left out.

Invariants: ``stops.key`` is unique, so a qemu's end is recorded once; ``number`` only rises and is
never used again, not even after pruning, so "after number N" is a place to go on from.

Reading is forgiving where a row is only partly legible (`stop_from` says so in the row) and raises
`errors.Damaged` where it is not a row of ours. A file whose `VERSION` is newer is not read at all.
"""

import enum
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import cause as causes
from pyganeti.model import evidence as evidences
from pyganeti.model import stop as stops
from pyganeti.wire import names

VERSION: Final = 1
"""Stored as ``user_version``."""

APPLICATION_ID: Final = 0x70794753
"""Stored as ``application_id``, which tells the file from any other SQLite database."""

Column = str | bytes | int | float | None
Row = Sequence[Any]


class Marker(enum.IntEnum):
    """What became of the ``NAME.shutdown`` of a stop."""

    NONE = 0
    WANTED = 1
    MADE = 2
    DROPPED = 3


SCHEMA: Final = (
    """CREATE TABLE stops (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        socket TEXT NOT NULL,
        pid INTEGER,
        started REAL,
        stopped REAL NOT NULL,
        recorded REAL NOT NULL,
        cause TEXT NOT NULL,
        why TEXT NOT NULL,
        evidence TEXT NOT NULL,
        qemu TEXT NOT NULL,
        marker INTEGER NOT NULL,
        intent TEXT GENERATED ALWAYS AS (
            CASE WHEN json_valid(evidence) THEN json_extract(evidence, '$.intent') END
        ) VIRTUAL
    )""",
    # Markers are wanted for a moment only, so this index is nearly always empty. There are no
    # others: each would cost a page or two in every commit, and a scan of a full journal takes
    # a tenth of a second.
    f"CREATE INDEX stops_unmarked ON stops (number) WHERE marker = {Marker.WANTED:d}",
    """CREATE TABLE watched (
        key TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        socket TEXT NOT NULL,
        pid INTEGER,
        start_ticks INTEGER,
        started REAL,
        since REAL NOT NULL,
        attached INTEGER NOT NULL,
        whole INTEGER NOT NULL,
        incoming INTEGER NOT NULL,
        reset_ends_qemu INTEGER,
        status TEXT NOT NULL,
        events TEXT NOT NULL,
        qemu TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE waiting (
        socket TEXT PRIMARY KEY,
        since REAL NOT NULL,
        reason TEXT NOT NULL,
        attempts INTEGER NOT NULL
    ) WITHOUT ROWID""",
)

IDENTITY: Final = "CREATE TABLE identity (id TEXT NOT NULL)"
"""The table that a file of version 1 may be without."""

TOTALS: Final = (
    "CREATE TABLE totals (cause TEXT PRIMARY KEY, stops INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO totals SELECT cause, count(*) FROM stops GROUP BY cause",
    # Two statements, since an upsert's own rule for conflicts would reach into the trigger.
    """CREATE TRIGGER stops_counted AFTER INSERT ON stops BEGIN
        INSERT INTO totals SELECT new.cause, 0
            WHERE NOT EXISTS (SELECT 1 FROM totals WHERE cause = new.cause);
        UPDATE totals SET stops = stops + 1 WHERE cause = new.cause;
    END""",
)
"""Makes the other one: what counts does so in the transaction in which a stop is stored."""

STOP_COLUMNS: Final = (
    "key, name, boot_id, socket, pid, started, stopped, recorded, cause, why, evidence, qemu"
)
"""The columns of `stop_columns`; with ``number`` before them, those of `stop_from`."""

WATCHED_COLUMNS: Final = (
    "key, name, boot_id, socket, pid, start_ticks, started, since, attached, whole, incoming,"
    " reset_ends_qemu, status, events, qemu"
)
WAITING_COLUMNS: Final = "socket, since, reason, attempts"

_Events = tuple[evidences.QmpEvent, ...]
_EVIDENCE: Final = msgspec.json.Decoder(evidences.Evidence)
_EVENTS: Final = msgspec.json.Decoder(_Events)
_ENCODER: Final = msgspec.json.Encoder()


def check_version(application_id: int, version: int) -> None:
    """Raise `errors.Damaged` unless a file with these two stamps can be read and written here."""
    if application_id != APPLICATION_ID:
        raise errors.Damaged("this is a database, but not a stop journal")
    if version != VERSION:
        raise errors.Damaged(f"the journal has format {version}, and only {VERSION} is known here")


def stop_columns(stop: stops.Stop) -> tuple[Column, ...]:
    """Return the values of `STOP_COLUMNS`; ``number`` is the journal's to give."""
    return (
        stop.key,
        names.to_column(stop.name),
        stop.boot_id,
        names.to_column(stop.socket),
        stop.pid,
        stop.started,
        stop.stopped,
        stop.recorded,
        stop.cause.value,
        names.readable(stop.why),
        _json(stop.evidence),
        names.readable(stop.qemu),
    )


def stop_from(row: Row) -> stops.Stop:
    """Return the stop of a row of ``number`` and `STOP_COLUMNS`.

    Evidence or a cause that cannot be read is replaced by none and ``unknown``, and the evidence
    then names itself as missing. Raises `errors.Damaged` if the rest is not of the right types.
    """
    number, key, name, boot_id, socket, pid, started, stopped, recorded, cause, why, found, qemu = (
        row
    )
    try:
        evidence = _EVIDENCE.decode(found)
    except (msgspec.MsgspecError, TypeError, ValueError):
        evidence = evidences.Evidence(missing=("the stored evidence, which is not legible",))
    try:
        known = causes.Cause(cause)
    except ValueError:
        known, why = causes.Cause.UNKNOWN, f"the journal says {cause!r}, which is no known cause"
    try:
        return stops.Stop(
            number=int(number),
            key=str(key),
            name=names.from_column(name),
            boot_id=str(boot_id),
            socket=names.from_column(socket),
            pid=_int(pid),
            started=_float(started),
            stopped=float(stopped),
            recorded=float(recorded),
            cause=known,
            why=str(why),
            evidence=evidence,
            qemu=str(qemu),
        )
    except (TypeError, ValueError) as error:
        raise errors.Damaged(f"row {number!r} of the journal is not a stop: {error}") from error


def watched_columns(watched: stops.Watched) -> tuple[Column, ...]:
    """Return the values of `WATCHED_COLUMNS`."""
    return (
        watched.key,
        names.to_column(watched.name),
        watched.boot_id,
        names.to_column(watched.socket),
        watched.pid,
        watched.start_ticks,
        watched.started,
        watched.since,
        watched.attached,
        watched.whole,
        watched.incoming,
        watched.reset_ends_qemu,
        names.readable(watched.status),
        _json(watched.events),
        names.readable(watched.qemu),
    )


def watched_from(row: Row) -> stops.Watched:
    """Return the watched qemu of a row of `WATCHED_COLUMNS`; illegible events are left out.

    Raises `errors.Damaged` if the rest is not of the right types.
    """
    key, name, boot_id, socket, pid, ticks, started, since, attached, whole, incoming = row[:11]
    reset_ends_qemu, status, noted, qemu = row[11:]
    try:
        events = _EVENTS.decode(noted)
    except (msgspec.MsgspecError, TypeError, ValueError):
        events, whole = (), False
    try:
        return stops.Watched(
            key=str(key),
            name=names.from_column(name),
            boot_id=str(boot_id),
            socket=names.from_column(socket),
            pid=_int(pid),
            start_ticks=_int(ticks),
            started=_float(started),
            since=float(since),
            attached=bool(attached),
            whole=bool(whole),
            incoming=bool(incoming),
            reset_ends_qemu=None if reset_ends_qemu is None else bool(reset_ends_qemu),
            status=str(status),
            events=events,
            qemu=str(qemu),
        )
    except (TypeError, ValueError) as error:
        raise errors.Damaged(f"the watched qemu {key!r} is not legible: {error}") from error


def waiting_columns(waiting: stops.Waiting) -> tuple[Column, ...]:
    """Return the values of `WAITING_COLUMNS`."""
    return (
        names.to_column(waiting.socket),
        waiting.since,
        names.readable(waiting.reason),
        waiting.attempts,
    )


def waiting_from(row: Row) -> stops.Waiting:
    """Return the waiting socket of a row of `WAITING_COLUMNS`, or raise `errors.Damaged`."""
    socket, since, reason, attempts = row
    try:
        return stops.Waiting(
            socket=names.from_column(socket),
            since=float(since),
            reason=str(reason),
            attempts=int(attempts),
        )
    except (TypeError, ValueError) as error:
        raise errors.Damaged(f"the waiting socket {socket!r} is not legible: {error}") from error


def _json(value: evidences.Evidence | _Events) -> str:
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        return _ENCODER.encode(names.all_readable(msgspec.to_builtins(value))).decode()


def _int(value: Any) -> int | None:  # noqa: ANN401 - whatever an SQLite column holds
    return None if value is None else int(value)


def _float(value: Any) -> float | None:  # noqa: ANN401 - whatever an SQLite column holds
    return None if value is None else float(value)
