"""The stop journal as the daemon's loop sees it: nothing here waits for the disk.

What is to be written is handed to one writer thread (`writer`), and the loop hears of it
again by callback. Invariants:

- ``done`` is called exactly once for every recorded stop, on the loop, and after the commit
  (STORED, KNOWN) or once it is clear that the commit will not come in time (PENDING);
- a stop that is PENDING stays in memory, up to `_MOST_UNSTORED`, and is tried until it is stored;
- a stop's key is recorded once for ever, whatever is recorded, crashes or is retried in between;
- what is remembered of a guest never overtakes its stop: a recorded guest is not watched any more.

Failure: a full disk, a broken or vanished file, a foreign lock or a disk that hangs cost nobody
more than `PATIENCE`. They are told once, loudly, by `Trouble` and in the log, and again when
they are over. When the file had to be begun anew, the guests now watched must be remembered again.
"""

import asyncio
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Final

from pyganeti.base import log
from pyganeti.kvmd.journal import journalfile, messages, rows, writer
from pyganeti.model import stop as stops
from pyganeti.wire import stopjournal

_LOG = log.get(__name__)

PATIENCE: Final = 0.5
"""Seconds without any progress of the writer after which a stop counts as PENDING."""

_MOST_PATIENCE: Final = 5.0
"""Seconds after which it does even if the writer makes progress with others."""

_SLICE: Final = 16
"""Callbacks in one turn of the loop: each makes a file or so, and others want their turn."""

_MOST_UNSTORED: Final = 20_000
"""Stops kept in memory while the disk is full: two storms of ten thousand."""


_LOAD_TIMEOUT: Final = 10.0

Outcome = messages.Outcome
Trouble = messages.Trouble
TroubleKind = messages.TroubleKind

Done = Callable[[stops.Stop, Outcome], None]


class Journal:
    """Records stops and remembers guests. All methods are for one thread: the loop's."""

    def __init__(
        self,
        thread: writer.Writer,
        path: pathlib.Path,
        patience: float,
        on_trouble: Callable[[Trouble], None] | None,
    ) -> None:
        self.path = path
        self.failing = False
        """Whether the disk does not take what it is given."""
        self._writer = thread
        self._on_trouble = on_trouble
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unstored: dict[str, messages.Entry] = {}
        self._unanswered: dict[messages.Entry, None] = {}
        self._patience = patience
        self._impatient: asyncio.TimerHandle | None = None
        self._waiting: dict[str, stops.Waiting] = {}
        self._has_lost = False
        self._is_hanging = False

    @classmethod
    def open(
        cls,
        path: pathlib.Path,
        *,
        keep_days: float = 90,
        keep_rows: int = 100_000,
        patience: float = PATIENCE,
        on_trouble: Callable[[Trouble], None] | None = None,
    ) -> "Journal":
        """Start the writer on the file; not before the daemon has detached, as it is a thread.

        Never fails for the file's sake: a bad one is dealt with by the writer, and told. Rows
        older than ``keep_days``, and the oldest beyond ``keep_rows``, are deleted now and then.
        ``patience`` is in seconds: how long a stop is answered later for a disk that hangs.
        """
        file = journalfile.JournalFile(path, keep_days=keep_days, keep_rows=keep_rows)
        thread = writer.Writer(file)
        opened = cls(thread, path, patience, on_trouble)
        thread.start(opened._on_news)
        return opened

    def load(self, boot_id: str) -> rows.Loaded:
        """Return the qemus last watched, and the stops of this boot whose marker is wanted still.

        For the start, before there is a loop: waits, but no longer than `_LOAD_TIMEOUT`. Both are
        empty if the file cannot be read, which is told.
        """
        loaded = self._writer.load(boot_id, _LOAD_TIMEOUT)
        if loaded is None:
            _LOG.error("the journal cannot be read in time", path=str(self.path))
            return (), ()
        return loaded

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have callbacks made on this loop; else on the one that first records something."""
        self._loop = loop
        loop.call_soon(self._take_news)

    @property
    def pending(self) -> int:
        """How many stops are not known to be on disk."""
        return len(self._unstored)

    def record(self, stop: stops.Stop, done: Done) -> None:
        """Have a stop stored and its watch ended, in one; ``done`` is called once, later.

        It is handed the row as it is stored, with its number: if the stop's key was known, the
        one of before.
        """
        loop = self._bound()
        marker = stopjournal.Marker.WANTED if stop.cause.leaves_marker else stopjournal.Marker.NONE
        entry = messages.Entry(stop, marker, time.monotonic(), done)
        if len(self._unstored) >= _MOST_UNSTORED:
            self._lose("more stops wait for the disk than can be kept in memory")
            loop.call_soon(done, stop, Outcome.PENDING)
            return
        self._unstored[stop.key] = entry
        self._unanswered[entry] = None
        self._writer.drop_note(rows.Subject.WATCHED, stop.key)
        self._writer.put(entry)
        if self._impatient is None:
            self._impatient = loop.call_later(self._patience, self._lose_patience)

    def remember(self, watched: stops.Watched) -> None:
        """Have what is known of a qemu under watch written, unless its stop was recorded."""
        if watched.key not in self._unstored:
            self._note(rows.Subject.WATCHED, watched.key, watched)

    def forget(self, key: str) -> None:
        """Have a qemu taken for not watched any more, without a stop."""
        self._note(rows.Subject.WATCHED, key, None)

    def waiting(self, sockets: Iterable[stops.Waiting]) -> None:
        """Have these be the sockets that have not become watched qemus; only news is written."""
        found = {row.socket: row for row in sockets}
        for socket, row in found.items():
            if self._waiting.get(socket) != row:
                self._note(rows.Subject.WAITING, socket, row)
        for socket in self._waiting.keys() - found.keys():
            self._note(rows.Subject.WAITING, socket, None)
        self._waiting = found

    def marker_made(self, key: str) -> None:
        """Take note that the ``NAME.shutdown`` of a stop is there."""
        self._mark(key, stopjournal.Marker.MADE)

    def marker_dropped(self, key: str) -> None:
        """Take note that the ``NAME.shutdown`` of a stop is not wanted any more."""
        self._mark(key, stopjournal.Marker.DROPPED)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is left and end the thread; tell whether every stop is on disk.

        Blocks, at most for ``timeout`` seconds. Stops that were not answered are, before it
        returns.
        """
        has_ended = self._writer.end(timeout)
        if self._impatient is not None:
            self._impatient.cancel()
            self._impatient = None
        while self._writer.news:
            self._take(self._writer.news.popleft())
        for entry in list(self._unanswered):
            self._answer(entry, entry.stop, Outcome.PENDING)
        if not has_ended:
            _LOG.error("the journal's disk hangs; it was left alone", path=str(self.path))
        if self._unstored:
            _LOG.error("stops could not be journaled", count=len(self._unstored))
        return has_ended and not self._unstored

    # From the writer's thread.

    def _on_news(self) -> None:
        loop = self._loop
        if loop is None:
            return  # `bind` looks for news
        try:
            loop.call_soon_threadsafe(self._take_news)
        except RuntimeError:
            return  # the loop is closed; `close` takes the news

    # On the loop.

    def _bound(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self.bind(asyncio.get_running_loop())
        assert self._loop is not None  # noqa: S101 - just bound
        return self._loop

    def _take_news(self) -> None:
        """Hand on what the writer has to say, a slice in a turn."""
        news = self._writer.news
        try:
            for _ in range(min(_SLICE, len(news))):
                self._take(news.popleft())
        finally:  # a callback that fails is the loop's to report, and takes nobody with it
            if news:
                self._bound().call_soon(self._take_news)

    def _take(self, news: messages.Answer | Trouble) -> None:
        if isinstance(news, Trouble):
            self._take_trouble(news)
            return
        entry = news.entry
        if news.is_settled and self._unstored.get(entry.stop.key) is entry:
            del self._unstored[entry.stop.key]
            if self._is_hanging:
                self._is_hanging = False
                _LOG.warning("the journal's disk answers again", path=str(self.path))
        self._answer(entry, news.stop, news.outcome)

    def _answer(self, entry: messages.Entry, stop: stops.Stop, outcome: Outcome) -> None:
        done, entry.done = entry.done, None
        self._unanswered.pop(entry, None)
        if done is not None:
            done(stop, outcome)

    def _take_trouble(self, trouble: Trouble) -> None:
        match trouble.kind:
            case TroubleKind.FAILING:
                self.failing = True
            case TroubleKind.WELL:
                self.failing = False
                self._has_lost = False
            case TroubleKind.BEGUN_ANEW:
                waiting, self._waiting = self._waiting, {}
                self.waiting(waiting.values())
        if self._on_trouble is not None:
            self._on_trouble(trouble)

    def _lose_patience(self) -> None:
        """Answer the stops that have waited for too long, and look again when others will have."""
        self._impatient = None
        loop = self._bound()
        now = time.monotonic()
        for entry in list(self._unanswered):
            moved = max(entry.submitted, self._writer.progress)
            due = min(moved + self._patience, entry.submitted + max(_MOST_PATIENCE, self._patience))
            if due > now:
                self._impatient = loop.call_later(due - now, self._lose_patience)
                return
            if not self._is_hanging:
                self._is_hanging = True
                _LOG.error("the journal's disk hangs; stops go on without it", path=str(self.path))
            self._answer(entry, entry.stop, Outcome.PENDING)

    def _mark(self, key: str, marker: stopjournal.Marker) -> None:
        entry = self._unstored.get(key)
        if entry is not None:
            entry.marker = marker
        self._note(rows.Subject.MARKER, key, marker)

    def _note(
        self,
        subject: rows.Subject,
        key: str,
        value: stops.Watched | stops.Waiting | stopjournal.Marker | None,
    ) -> None:
        if not self._writer.note(rows.Note(subject, key, value)):
            self._lose("more changes wait for the disk than can be kept in memory")

    def _lose(self, reason: str) -> None:
        if self._has_lost:
            return
        self._has_lost = True
        _LOG.error("the journal loses something", reason=reason, pending=len(self._unstored))
        if self._on_trouble is not None:
            self._on_trouble(Trouble(TroubleKind.LOST, reason, len(self._unstored)))
