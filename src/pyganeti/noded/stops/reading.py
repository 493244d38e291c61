"""Looks into the journal and says what it found, in the words of the answers. Blocks.

For one thread at a time. Keeps the file open from one look to the next, and goes over to another
that has its name.

Failure: a journal that is missing or cannot be read is an answer like any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pyganeti.base import errors
from pyganeti.clients import stopjournal
from pyganeti.model import stop as rows
from pyganeti.noded.stops import marks
from pyganeti.wire import names, stopanswers, stoprow, watchedrow

State: TypeAlias = tuple[stopanswers.Journal, str, int]
"""What a look for news found: whether there is a journal, its id, the highest number in it."""

_SOCKET: Final = ".kvmd"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which stops somebody wants: behind a mark, ``limit`` at most."""

    mark: str | None
    limit: int
    wanted: stopanswers.Filter


class Reading:
    """The journal at ``path``; ``runs`` says whether kvmd does."""

    def __init__(self, path: Path, runs: Callable[[], bool]) -> None:
        self._path = path
        self._runs = runs
        self._reader: stopjournal.Reader | None = None

    def close(self) -> None:
        """Let go of the file."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def state(self) -> State:
        """Return what is another after every new stop."""
        try:
            reader = self._opened()
            return "there", reader.identity(), reader.last_number()
        except errors.Failure:
            return self._state_without(), "", 0

    def stops(self, asked: Asked) -> stopanswers.Stops:
        """Return the stops that are wanted and there; raises BadInput if the mark is none."""
        marks.parse(asked.mark)
        try:
            reader = self._opened()
            journal, first, last = reader.identity(), reader.first_number(), reader.last_number()
            after, anew = marks.begin(asked.mark, journal, first=first, last=last)
            before = reader.illegible
            page = reader.page(
                after=after,
                upto=last,
                limit=asked.limit,
                of=asked.wanted.names,
                hosts=asked.wanted.hosts,
                newest=asked.wanted.newest,
                since=asked.wanted.since,
                until=asked.wanted.until,
                causes=asked.wanted.causes,
            )
        except (errors.Unavailable, errors.Damaged) as error:
            return stopanswers.Stops(
                rows=[],
                mark=None if asked.mark == stopanswers.END else asked.mark,
                kvmd=self._runs(),
                journal=self._state_without(),
                trouble=names.readable(str(error)),
            )
        return stopanswers.Stops(
            rows=[stoprow.as_dict(stop) for stop in page.stops],
            mark=str(marks.Mark(journal, page.last)),
            more=page.more,
            anew=anew,
            kvmd=self._runs(),
            illegible=reader.illegible - before,
        )

    def why(self, name: str) -> stopanswers.Why:
        """Return what is known of a guest's last stop, and of its qemu under watch."""
        try:
            reader = self._opened()
            before = reader.illegible
            stop = reader.last(name)
            watched = [one for one in reader.watched() if one.name == name]
            waiting = [one for one in reader.waiting() if one.socket == name + _SOCKET]
        except (errors.Unavailable, errors.Damaged) as error:
            return stopanswers.Why(
                stop=None,
                kvmd=self._runs(),
                journal=self._state_without(),
                trouble=names.readable(str(error)),
            )
        return stopanswers.Why(
            stop=None if stop is None else stoprow.as_dict(stop),
            watched=watchedrow.as_dict(watched[0]) if watched else None,
            waiting=names.readable(waiting[0].reason) if waiting else "",
            kvmd=self._runs(),
            illegible=reader.illegible - before,
        )

    def last_stops(self, of: Sequence[str]) -> stopanswers.LastStops:
        """Return the last stop of each of some guests, and since when those run that do."""
        try:
            reader = self._opened()
            before = reader.illegible
            stops = reader.last_of_each(of)
            wanted = frozenset(of)
            watched = [one for one in reader.watched() if one.name in wanted]
        except (errors.Unavailable, errors.Damaged) as error:
            return stopanswers.LastStops(
                stops={},
                running={},
                kvmd=self._runs(),
                journal=self._state_without(),
                trouble=names.readable(str(error)),
            )
        return stopanswers.LastStops(
            stops={stop.name: _in_short(stop) for stop in stops},
            running={one.name: one.started for one in watched},
            kvmd=self._runs(),
            illegible=reader.illegible - before,
        )

    def _opened(self) -> stopjournal.Reader:
        try:
            if self._reader is None:
                self._reader = stopjournal.Reader(self._path)
            elif self._path.exists():
                self._reader.renew()
            else:
                raise errors.Unavailable(f"there is no stop journal at {self._path} any more")
        except errors.Failure:
            self.close()
            raise
        return self._reader

    def _state_without(self) -> stopanswers.Journal:
        self.close()  # what could not be read is opened anew at the next look
        return "unreadable" if self._path.exists() else "none"


def _in_short(stop: rows.Stop) -> stopanswers.Last:
    return stopanswers.Last(
        number=stop.number,
        key=stop.key,
        stopped=stop.stopped,
        cause=stop.cause.value,
        why=names.readable(stop.why),
        started=stop.started,
        pid=stop.pid,
    )
