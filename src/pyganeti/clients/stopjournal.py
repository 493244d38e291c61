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
import dataclasses
import json
import pathlib
import sqlite3
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self, TypeVar

from pyganeti.base import errors
from pyganeti.clients import journalopening
from pyganeti.model import cause
from pyganeti.model import stop as rows
from pyganeti.wire import names, stopjournal

_T = TypeVar("_T")

_CHUNK: Final = 500
"""Rows read at a time, so that no read lasts."""

_REMEMBERED: Final = 1000
"""Stops that `follow` recognises when they come again in another file."""

Ended = Callable[[float], bool]
"""Waits for some seconds or less, and tells whether to end: an ``threading.Event().wait``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Some stops, oldest first; ``last`` is the number after which the next page begins."""

    stops: tuple[rows.Stop, ...]
    last: int
    more: bool


class Reader:
    """An opened journal. For one thread; a context manager."""

    def __init__(self, path: pathlib.Path) -> None:
        """Open the journal at ``path``; raises as the module says."""
        self.path = path
        self.illegible = 0
        self._identity = journalopening.identity_of(path)
        self._database, self._is_frozen = journalopening.connect(path)

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

    def identity(self) -> str:
        """Return the file's own id, "" if it has none; a file in its place has another."""
        if not self._all("SELECT 1 FROM sqlite_master WHERE name = 'identity'"):
            return ""
        return str(self._all("SELECT id FROM identity")[0][0])

    def renew(self) -> None:
        """Go over to the file that has the name now, if that is another one, or is written now.

        Raises as the module says; if there is no file, the one that was opened is read on.
        """
        if not self._reopen_if_replaced() and self._is_frozen and journalopening.has_log(self.path):
            self._reopen()  # a writer has begun

    def page(
        self,
        *,
        after: int,
        upto: int,
        limit: int,
        of: Sequence[str] = (),
        hosts: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
        causes: Sequence[cause.Cause] = (),
        newest: bool = False,
    ) -> Page:
        """Return the oldest of the stops that match all that is given, ``limit`` at most.

        Their numbers are above ``after`` and not above ``upto``. Of several names, ``hosts`` (names
        or first parts of such) and causes each will do, and none given means any. With ``newest``
        it is the newest, and the next page begins after all of them.
        """
        where, values = _condition(of, since, causes, hosts=hosts, until=until)
        order = "DESC" if newest else "ASC"
        found = self._all(
            f"SELECT number, {stopjournal.STOP_COLUMNS} FROM stops"  # noqa: S608
            f" WHERE number > ? AND number <= ? AND {where} ORDER BY number {order} LIMIT ?",
            (after, upto, *values, limit + 1),
        )
        wanted = found[:limit]
        more = len(found) > limit
        last = int(wanted[-1][0]) if more and not newest else upto
        if newest:
            wanted.reverse()
        return Page(tuple(self._legible(wanted, stopjournal.stop_from)), last, more)

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
        where, values = _condition(() if name is None else (name,), since, causes)
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

    def last_of_each(self, of: Sequence[str]) -> list[rows.Stop]:
        """Return the last stop of each of these guests of which there is any.

        Reads the journal once however many they are: a tenth of a second for a full one.
        """
        found = self._all(
            f"SELECT number, {stopjournal.STOP_COLUMNS} FROM stops WHERE number IN ("  # noqa: S608
            "SELECT max(number) FROM stops WHERE name IN (SELECT value FROM json_each(?))"
            " GROUP BY name)",
            (json.dumps([name for name in of if names.to_column(name) == name]),),
        )
        return list(self._legible(found, stopjournal.stop_from))

    def totals(self) -> dict[str, int]:
        """Return how many stops of each cause there were since the file was begun.

        Pruned ones count too, unless the file is one of an early daemon's that was not written
        since.
        """
        counted = self._all("SELECT 1 FROM sqlite_master WHERE name = 'totals'")
        found = self._all(
            "SELECT cause, stops FROM totals"
            if counted
            else "SELECT cause, count(*) FROM stops GROUP BY cause"
        )
        return {str(cause): int(count) for cause, count in found}

    def first_number(self) -> int | None:
        """Return the number of the oldest stop that is not pruned, None if there is none."""
        number = self._all("SELECT min(number) FROM stops")[0][0]
        return None if number is None else int(number)

    def last_number(self) -> int:
        """Return the highest number given so far, pruned or not; 0 if none was."""
        found = self._all("SELECT seq FROM sqlite_sequence WHERE name = 'stops'")
        return int(found[0][0]) if found else 0

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
                elif self._is_frozen and journalopening.has_log(self.path):
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
        found = journalopening.identity_of(self.path)
        if found is None or found == self._identity:
            return False
        self._reopen()
        self._identity = found
        return True

    def _reopen(self) -> None:
        before = self._database
        self._database, self._is_frozen = journalopening.connect(self.path)
        before.close()

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise journalopening.translated(error, self.path) from error

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
    wanted_names: Sequence[str],
    since: float | None,
    wanted: Sequence[cause.Cause],
    *,
    hosts: Sequence[str] = (),
    until: float | None = None,
) -> tuple[str, list[stopjournal.Column]]:
    """Return an SQL condition and its values."""
    parts, values = ["1"], list[stopjournal.Column]()
    if wanted_names or hosts:
        exact = [*wanted_names, *hosts]
        alternatives = [f"name IN ({', '.join('?' * len(exact))})"]
        values.extend(names.to_column(name) for name in exact)
        for host in hosts:
            # All that begins with the host and a dot, in the order of bytes: "/" comes after ".".
            alternatives.append("(name >= ? AND name < ?)")
            values.extend((f"{host}.", f"{host}/"))
        parts.append(f"({' OR '.join(alternatives)})")
    if since is not None:
        parts.append("stopped >= ?")
        values.append(since)
    if until is not None:
        parts.append("stopped <= ?")
        values.append(until)
    if wanted:
        parts.append(f"cause IN ({', '.join('?' * len(wanted))})")
        values.extend(one.value for one in wanted)
    return " AND ".join(parts), values
