"""The thread that writes the stop journal: what to write next, and what to do when that fails.

Stops come first, as many in one transaction as are there; between two transactions whoever came
meanwhile is served. What was committed and answered for, another thread brings to the disk. Notes
(of watched qemus, markers, waiting sockets) follow when no stop waits, at once if none was written
in the last `_NOTE_PAUSE`; then a checkpoint and pruning, when idle.

Invariants: a stop leaves this thread's hands only when it is committed or can never be a row; the
thread does not end before it is told to, whatever happens; with nothing to do it sleeps without a
timeout, pruning's aside.

Failure: a damaged file is set aside and a new one begun, at most once in `_SET_ASIDE_PAUSE`; any
other trouble is tried again after pauses that grow to `_LONGEST_PAUSE`, with jitter, on a file that
is opened anew. Meanwhile stops are kept in the order in which they came.
"""

import collections
import enum
import functools
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from pyganeti.base import errors, log
from pyganeti.kvmd import journalfile, journalnews, journalplace, journalsync

_T = TypeVar("_T")
_LOG = log.get(__name__)

_BATCH: Final = 64
_BATCH_ON_SLOW_DISK: Final = 512
_SLOW: Final = 0.005
"""Seconds for a commit above which larger batches pay, though the first must wait for the last."""

_NOTE_PAUSE: Final = 0.05
"""Seconds between notes: what a hostile guest can make us write twenty times a second at most."""

_MOST_NOTES: Final = 50_000

_CHECKPOINT_IDLE: Final = 1.0
"""Seconds without a write after which the log is folded into the file."""

_CHECKPOINT_ROWS: Final = 4_000
"""Rows written after which it is folded in even in the middle of a storm (some 20 MiB)."""

_PRUNE_PAUSE: Final = 3600.0
_PRUNE_ROWS: Final = 1000
"""Rows added after which to prune before the hour is over."""

_SYNC_AT_END: Final = 2.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_SET_ASIDE_PAUSE: Final = 60.0
_LOAD_PATIENCE: Final = 1.0


class _Word(enum.Enum):
    """What the inbox holds besides stops."""

    WAKE = enum.auto()
    END = enum.auto()


class _Load:
    """A question that its asker waits for."""

    def __init__(self, boot_id: str) -> None:
        self.boot_id = boot_id
        self.result: journalfile.Loaded = ((), ())
        self.is_answered = threading.Event()


class _SyncFailure:
    """News from the thread that syncs."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Writer:
    """Writes in a thread of its own. `put`, `note`, `load` and `end` are for other threads."""

    def __init__(self, file: journalfile.JournalFile) -> None:
        self.news: collections.deque[journalnews.Answer | journalnews.Trouble] = collections.deque()
        """What has happened, oldest first; for the one who was given to `start` to take."""
        self.progress = time.monotonic()
        """When the thread last got something done: if long ago, the disk hangs."""
        self._file = file
        self._tell: Callable[[], None] = lambda: None
        self._inbox: queue.SimpleQueue[journalnews.Entry | _Load | _SyncFailure | _Word] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._notes: dict[tuple[journalfile.Subject, str], journalfile.Note] = {}
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._backlog: collections.deque[journalnews.Entry] = collections.deque()
        self._ending = False
        self._failing = False
        self._is_told = False
        self._untidied: str | None = None
        self._pause = _FIRST_PAUSE
        self._retry_at = 0.0
        self._batch = _BATCH
        self._notes_due = 0.0
        self._syncer = journalsync.Syncer(journalplace.log_of(file.path), self._on_sync_failure)
        self._unfolded = 0
        self._written_at = 0.0
        self._unpruned = 0
        self._prune_at = time.monotonic() + 60
        self._set_aside_at = -_SET_ASIDE_PAUSE

    # For other threads.

    def start(self, tell: Callable[[], None]) -> None:
        """Start the thread; ``tell`` is called in it whenever there is `news`."""
        self._tell = tell
        self._thread.start()

    def put(self, entry: journalnews.Entry) -> None:
        """Have a stop stored; it will be answered once, and settled once, in `news`."""
        self._inbox.put(entry)

    def note(self, note: journalfile.Note) -> bool:
        """Have a change written soon, in place of an earlier one of the same; False if too many."""
        with self._lock:
            is_first = not self._notes
            if len(self._notes) >= _MOST_NOTES and (note.subject, note.key) not in self._notes:
                return False
            self._notes[note.subject, note.key] = note
        if is_first:
            self._inbox.put(_Word.WAKE)
        return True

    def drop_note(self, subject: journalfile.Subject, key: str) -> None:
        """Take back a change that was not written yet."""
        with self._lock:
            self._notes.pop((subject, key), None)

    def load(self, boot_id: str, timeout: float) -> journalfile.Loaded | None:
        """Wait for what the file knew at the start; None if it takes too long."""
        question = _Load(boot_id)
        self._inbox.put(question)
        return question.result if question.is_answered.wait(timeout) else None

    def end(self, timeout: float) -> bool:
        """Write what there is to write, end, and tell whether the thread has ended in time."""
        self._inbox.put(_Word.END)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _on_sync_failure(self, error: OSError) -> None:
        """Take note, in the syncing thread, that what was committed may not survive the machine."""
        self._inbox.put(_SyncFailure(str(error)))

    # In the thread.

    def _run(self) -> None:
        self._guarded(self._open)
        while not self._ending:
            self._guarded(self._turn)
        self._guarded(self._finish)
        self._syncer.end(_SYNC_AT_END)
        self._file.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the thread's top frame: it must not end
            _LOG.exception("the journal's writer failed")
            self._fail(f"{type(error).__name__}: {error}")
        self.progress = time.monotonic()

    def _turn(self) -> None:
        entries = self._collect(self._sleep())
        now = time.monotonic()
        if entries and self._failing:
            self._postpone(entries)
        elif entries:
            self._store(entries)
        elif self._failing:
            if now >= self._retry_at:
                self._retry()
        elif self._backlog:
            self._store_backlog()
        elif self._notes and now >= self._notes_due:
            self._write_notes()
        elif self._unfolded and now >= self._written_at + _CHECKPOINT_IDLE:
            self._checkpoint()
        elif now >= self._prune_at:
            self._prune()

    def _sleep(self) -> float:
        """Return for how long there is nothing to do unless something comes."""
        now = time.monotonic()
        if self._failing:
            return self._retry_at - now
        if self._backlog:
            return 0
        until = self._prune_at
        if self._notes:
            until = min(until, self._notes_due)
        if self._unfolded:
            until = min(until, self._written_at + _CHECKPOINT_IDLE)
        return until - now

    def _collect(self, sleep: float) -> list[journalnews.Entry]:
        """Wait for something to come and return the stops that have, up to a batch."""
        entries: list[journalnews.Entry] = []
        try:
            item = self._inbox.get(timeout=sleep) if sleep > 0 else self._inbox.get_nowait()
            while True:
                if isinstance(item, journalnews.Entry):
                    entries.append(item)
                    if len(entries) >= self._batch:
                        break
                elif isinstance(item, _Load):
                    self._answer_load(item)
                elif isinstance(item, _SyncFailure):
                    self._fail(f"the disk refuses what was committed: {item.reason}")
                elif item is _Word.END:
                    self._ending = True
                    break
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        return entries

    def _store(self, entries: list[journalnews.Entry]) -> None:
        """Store stops and answer for them; if that fails, keep them."""
        begun = time.monotonic()
        found = None
        try:
            found = self._write(lambda: self._file.store([(e.stop, e.marker) for e in entries]))
        except errors.Failure as error:
            self._fail(str(error))
        finally:
            if found is None:
                self._postpone(entries)
        if found is not None:
            self._batch = _BATCH_ON_SLOW_DISK if time.monotonic() - begun > _SLOW else _BATCH
            self._answer(entries, found)
            self._be_well()

    def _answer(self, entries: list[journalnews.Entry], found: list[journalfile.Stored]) -> None:
        for entry, stored in zip(entries, found, strict=True):
            if stored.stop is None:
                self._tell_trouble(journalnews.TroubleKind.LOST, stored.error)
                _LOG.error("a stop cannot be a row", name=entry.stop.name, error=stored.error)
                self.news.append(
                    journalnews.Answer(
                        entry, entry.stop, journalnews.Outcome.PENDING, is_settled=True
                    )
                )
            else:
                outcome = journalnews.Outcome.STORED if stored.is_new else journalnews.Outcome.KNOWN
                self.news.append(journalnews.Answer(entry, stored.stop, outcome, is_settled=True))
        self._tell()
        self.progress = time.monotonic()
        self._syncer.ask()
        self._unpruned += len(entries)
        if self._unpruned >= _PRUNE_ROWS:
            self._unpruned = 0
            self._prune_at = min(self._prune_at, self.progress)
        self._count_written(len(entries))

    def _write_notes(self) -> None:
        """Write changes that no one waits for; if that fails, keep those that still hold."""
        with self._lock:
            taken = list(itertools.islice(self._notes.items(), self._batch))
            for key, _ in taken:
                del self._notes[key]
        try:
            if self._untidied is not None:
                self._write(functools.partial(self._file.tidy, self._untidied))
                self._untidied = None
            self._write(lambda: self._file.note([note for _, note in taken]))
        except errors.Failure as error:
            self._fail(str(error))
            with self._lock:
                for key, note in taken:
                    self._notes.setdefault(key, note)
            return
        self._be_well()
        if not self._notes:
            self._notes_due = time.monotonic() + _NOTE_PAUSE
        self._count_written(len(taken))

    def _store_backlog(self) -> None:
        """Store the oldest of the stops that could not be stored when they came."""
        entries = list(itertools.islice(self._backlog, self._batch))
        try:
            found = self._write(lambda: self._file.store([(e.stop, e.marker) for e in entries]))
        except errors.Failure as error:
            self._fail(str(error))
            return
        for _ in entries:
            self._backlog.popleft()
        self._answer(entries, found)
        self._be_well()

    def _retry(self) -> None:
        if self._backlog:
            self._store_backlog()
        else:
            self._write_notes()

    def _checkpoint(self) -> None:
        self._unfolded = 0
        try:
            self._file.checkpoint()
        except errors.Exhausted as error:
            # The stops are safe in the log; it grows, and is folded in when there is space.
            _LOG.debug("the journal's log could not be folded in", reason=str(error))
        except errors.Failure as error:
            self._fail(str(error))

    def _prune(self) -> None:
        self._prune_at = time.monotonic() + _PRUNE_PAUSE
        try:
            has_more = self._write(lambda: self._file.prune(time.time()))
        except errors.Failure as error:
            self._fail(str(error))
            return
        if has_more:
            self._prune_at = time.monotonic()
        self._unfolded += 1
        self._written_at = time.monotonic()

    def _finish(self) -> None:
        """Write what is left, trying once more what could not be written so far."""
        while entries := self._collect(0):
            self._store(entries)
        while self._backlog:
            left = len(self._backlog)
            self._store_backlog()
            if len(self._backlog) == left:
                return
        while self._notes:
            left = len(self._notes)
            self._write_notes()
            if len(self._notes) >= left:
                return

    def _answer_load(self, question: _Load) -> None:
        deadline = time.monotonic() + _LOAD_PATIENCE
        self._untidied = question.boot_id
        try:
            while True:
                try:
                    question.result = self._write(lambda: self._file.load(question.boot_id))
                    break
                except errors.Unavailable:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            self._write_notes()
        except errors.Failure as error:
            self._fail(str(error))
            try:
                question.result = self._file.peek(question.boot_id)
            except errors.Failure as unreadable:
                _LOG.error("what an earlier run knew cannot be read", reason=str(unreadable))
        finally:
            question.is_answered.set()

    # The file and its health.

    def _write(self, work: Callable[[], _T]) -> _T:
        """Do ``work`` on the file; if it proves damaged or is gone, do it on another one.

        Raises what the work raises, or what keeps a file from being opened.
        """
        self._open_if_need_be()
        try:
            return work()
        except errors.Damaged as error:
            self._set_aside(str(error))
            self._open_if_need_be()
            return work()

    def _open(self) -> None:
        try:
            self._open_if_need_be()
        except errors.Failure as error:
            self._fail(str(error))

    def _open_if_need_be(self) -> None:
        if self._file.is_open and not self._file.is_replaced():
            return
        try:
            is_another = self._file.open()
        except errors.Damaged as error:
            self._set_aside(str(error))
            is_another = self._file.open()
        if is_another:
            _LOG.error("the journal was begun anew", path=str(self._file.path))
            self._tell_trouble(
                journalnews.TroubleKind.BEGUN_ANEW, "the file is another than before"
            )

    def _set_aside(self, reason: str) -> None:
        now = time.monotonic()
        if now < self._set_aside_at + _SET_ASIDE_PAUSE:
            raise errors.Unavailable(f"the journal is damaged, and again so soon: {reason}")
        kept = self._file.set_aside(time.time())
        self._set_aside_at = now
        _LOG.error(
            "the journal is damaged and was set aside",
            path=str(self._file.path),
            kept=str(kept),
            reason=reason,
        )

    def _fail(self, reason: str) -> None:
        """Take note that writing failed; say so if that is news."""
        self._file.close()
        pause = self._pause * random.uniform(0.8, 1.2)
        self._retry_at = time.monotonic() + pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._failing = True
        if self._is_told:
            _LOG.debug("the journal still cannot be written", reason=reason, pause=round(pause, 1))
            return
        self._is_told = True
        _LOG.error(
            "the journal cannot be written; stops are kept in memory",
            path=str(self._file.path),
            reason=reason,
        )
        self._tell_trouble(journalnews.TroubleKind.FAILING, reason)

    def _be_well(self) -> None:
        """Take note that writing succeeded; say so if that is news."""
        self._failing = False
        if self._is_told and not self._backlog:
            self._is_told = False
            self._pause = _FIRST_PAUSE
            _LOG.warning("the journal is written again", path=str(self._file.path))
            self._tell_trouble(journalnews.TroubleKind.WELL, "")

    def _postpone(self, entries: list[journalnews.Entry]) -> None:
        self._backlog.extend(entries)
        self.news.extend(
            journalnews.Answer(entry, entry.stop, journalnews.Outcome.PENDING, is_settled=False)
            for entry in entries
        )
        self._tell()

    def _count_written(self, rows: int) -> None:
        self._unfolded += rows + 1
        self._written_at = time.monotonic()
        if self._unfolded >= _CHECKPOINT_ROWS:
            self._checkpoint()

    def _tell_trouble(self, kind: journalnews.TroubleKind, detail: str) -> None:
        self.news.append(journalnews.Trouble(kind, detail, len(self._backlog)))
        self._tell()
