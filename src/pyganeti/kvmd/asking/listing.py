"""``list``: what is under watch now, and which sockets are waiting to be.

As JSON lines (version 1; keys are stable, new ones may be added): first an object of ``kind``
``daemon`` with ``running`` (true, false, or null if that is not known); then one of ``kind``
``watched`` for each qemu, with ``name``, ``key``, ``boot_id``, ``socket``, ``pid``, ``started``,
``since`` (seconds since the epoch), ``attached`` (whether its socket is connected), ``whole``
(whether it was from the beginning), ``incoming`` (whether it waits for a migration), ``status``
(the last run state that bears on its end, or ""), ``qemu`` (version) and ``events`` (evidence so
far); then one of ``kind`` ``waiting`` for each socket, with ``socket``, ``since``, ``reason`` and
``attempts``.
"""

from typing import Any, Final, TextIO

import msgspec

from pyganeti.clients import stopjournal
from pyganeti.model import stop as stops
from pyganeti.wire import names, watchedrow
from pyganeti.words import moments, pages

VERSION: Final = 1


def show(
    reader: stopjournal.Reader,
    out: TextIO,
    *,
    running: bool | None,
    now: float,
    as_json: bool = False,
) -> None:
    """Write the watched qemus and the waiting sockets.

    ``running`` says whether the daemon is, None if that cannot be known. Raises as the reader.
    """
    watched, waiting = reader.watched(), reader.waiting()
    if as_json:
        pages.write_json(out, {"version": VERSION, "kind": "daemon", "running": running})
        for guest in watched:
            pages.write_json(out, _as_dict(guest, "watched"))
        for socket in waiting:
            pages.write_json(out, _as_dict(socket, "waiting"))
        return
    if running is False:
        pages.write_line(out, "ganeti-kvmd is not running. When it last ran, it knew this:")
        pages.write_line(out)
    if watched:
        heads = ("NAME", "PID", "SINCE", "FOR", "SEEN", "QEMU", "STATE")
        pages.write_table(out, heads, [_row(guest, now) for guest in watched])
    else:
        pages.write_line(out, "No guest is under watch.")
    if waiting:
        pages.write_line(out)
        pages.write_table(
            out,
            ("WAITING SOCKET", "SINCE", "FOR", "TRIES", "REASON"),
            [
                (
                    socket.socket,
                    moments.day_and_time(socket.since),
                    moments.duration(now - socket.since),
                    str(socket.attempts),
                    socket.reason,
                )
                for socket in waiting
            ],
        )


def _row(guest: stops.Watched, now: float) -> tuple[str, ...]:
    seen = "whole" if guest.whole else "part"
    return (
        guest.name,
        moments.UNKNOWN if guest.pid is None else str(guest.pid),
        moments.day_and_time(guest.since),
        moments.duration(now - guest.since),
        seen if guest.attached else f"{seen}, not attached",
        guest.qemu or moments.UNKNOWN,
        guest.status or ("inmigrate" if guest.incoming else moments.UNKNOWN),
    )


def _as_dict(row: stops.Watched | stops.Waiting, kind: str) -> dict[str, Any]:
    if isinstance(row, stops.Watched):
        return {"version": VERSION, "kind": kind, **watchedrow.as_dict(row)}
    readable = names.all_readable({"version": VERSION, "kind": kind, **msgspec.structs.asdict(row)})
    assert isinstance(readable, dict)  # noqa: S101 - an object stays one
    return readable
