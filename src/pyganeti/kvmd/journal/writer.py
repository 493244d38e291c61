"""The thread that writes the stop journal: what to write next, and who is told when it is.

Stops come first, as many in one transaction as are there; between two transactions whoever came
meanwhile is served. What was committed and answered for, another thread brings to the disk. Notes
(of watched qemus, markers, waiting sockets) follow when no stop waits, at once if none was written
in the last `_NOTE_PAUSE`; then a checkpoint and pruning, when idle.

Invariants: a stop leaves this thread's hands only when it is committed or can never be a row; the
thread does not end before it is told to, whatever happens; with nothing to do it sleeps without a
timeout, pruning's aside.

Failure: `upkeep` sees to the file. Meanwhile stops are kept in the order in which they came.
"""

import collections
import enum
import functools
import itertools
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from pyganeti.base import errors, log
from pyganeti.kvmd.journal import journalfile, messages, notes, place, rows, syncing, upkeep

_LOG = log.get(__name__)

_BATCH: Final = 64
_BATCH_ON_SLOW_DISK: Final = 512
_SLOW: Final = 0.005
"""Seconds for a commit above which larger batches pay, though the first must wait for the last."""

_NOTE_PAUSE: Final = 0.05
"""Seconds between notes: what a hostile guest can make us write twenty times a second at most."""

_CHECKPOINT_IDLE: Final = 1.0
"""Seconds without a write after which the log is folded into the file."""

_CHECKPOINT_ROWS: Final = 4_000
"""Rows written after which it is folded in even in the middle of a storm (some 20 MiB)."""

_PRUNE_PAUSE: Final = 3600.0
_PRUNE_ROWS: Final = 1000
"""Rows added after which to prune before the hour is over."""

_SYNC_AT_END: Final = 2.0
_LOAD_PATIENCE: Final = 1.0


class _Word(enum.Enum):
    """What the inbox holds besides stops."""

    WAKE = enum.auto()
    END = enum.auto()


class _Load:
    """A question that its asker waits for."""

    def __init__(self, boot_id: str) -> None:
        self.boot_id = boot_id
        self.result: rows.Loaded = ((), ())
        self.is_answered = threading.Event()


class _SyncFailure:
    """News from the thread that syncs."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Writer:
    """Writes in a thread of its own. `put`, `note`, `load` and `end` are for other threads."""

    def __init__(self, file: journalfile.JournalFile) -> None:
        self.news: collections.deque[messages.Answer | messages.Trouble] = collections.deque()
        """What has happened, oldest first; for the one who was given to `start` to take."""
        self.progress = time.monotonic()
        """When the thread last got something done: if long ago, the disk hangs."""
        self._file = file
        self._tell: Callable[[], None] = lambda: None
        self._inbox: queue.SimpleQueue[messages.Entry | _Load | _SyncFailure | _Word] = (
            queue.SimpleQueue()
        )
        self._notes = notes.Notes(lambda: self._inbox.put(_Word.WAKE))
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._backlog: collections.deque[messages.Entry] = collections.deque()
        self._ending = False
        self._upkeep = upkeep.Upkeep(file, self._tell_trouble)
        self._untidied: str | None = None
        self._batch = _BATCH
        self._notes_due = 0.0
        self._syncer = syncing.Syncer(place.log_of(file.path), self._on_sync_failure)
        self._unfolded = 0
        self._written_at = 0.0
        self._unpruned = 0
        self._prune_at = time.monotonic() + 60

    # For other threads.

    def start(self, tell: Callable[[], None]) -> None:
        """Start the thread; ``tell`` is called in it whenever there is `news`."""
        self._tell = tell
        self._thread.start()

    def put(self, entry: messages.Entry) -> None:
        """Have a stop stored; it will be answered once, and settled once, in `news`."""
        self._inbox.put(entry)

    def note(self, note: rows.Note) -> bool:
        """Have a change written soon, in place of an earlier one of the same; False if too many."""
        return self._notes.put(note)

    def drop_note(self, subject: rows.Subject, key: str) -> None:
        """Take back a change that was not written yet."""
        self._notes.drop(subject, key)

    def load(self, boot_id: str, timeout: float) -> rows.Loaded | None:
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
        self._guarded(self._upkeep.open)
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
            self._upkeep.failed(f"{type(error).__name__}: {error}")
        self.progress = time.monotonic()

    def _turn(self) -> None:
        entries = self._collect(self._sleep())
        now = time.monotonic()
        if entries and self._upkeep.is_failing:
            self._postpone(entries)
        elif entries:
            self._store(entries)
        elif self._upkeep.is_failing:
            if now >= self._upkeep.retry_at:
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
        if self._upkeep.is_failing:
            return self._upkeep.retry_at - now
        if self._backlog:
            return 0
        until = self._prune_at
        if self._notes:
            until = min(until, self._notes_due)
        if self._unfolded:
            until = min(until, self._written_at + _CHECKPOINT_IDLE)
        return until - now

    def _collect(self, sleep: float) -> list[messages.Entry]:
        """Wait for something to come and return the stops that have, up to a batch."""
        entries: list[messages.Entry] = []
        try:
            item = self._inbox.get(timeout=sleep) if sleep > 0 else self._inbox.get_nowait()
            while True:
                if isinstance(item, messages.Entry):
                    entries.append(item)
                    if len(entries) >= self._batch:
                        break
                elif isinstance(item, _Load):
                    self._answer_load(item)
                elif isinstance(item, _SyncFailure):
                    self._upkeep.failed(f"the disk refuses what was committed: {item.reason}")
                elif item is _Word.END:
                    self._ending = True
                    break
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        return entries

    def _store(self, entries: list[messages.Entry]) -> None:
        """Store stops and answer for them; if that fails, keep them."""
        begun = time.monotonic()
        found = None
        try:
            found = self._upkeep.do(lambda: self._file.store([(e.stop, e.marker) for e in entries]))
        except errors.Failure as error:
            self._upkeep.failed(str(error))
        finally:
            if found is None:
                self._postpone(entries)
        if found is not None:
            self._batch = _BATCH_ON_SLOW_DISK if time.monotonic() - begun > _SLOW else _BATCH
            self._answer(entries, found)
            self._upkeep.succeeded(is_all_written=not self._backlog)

    def _answer(self, entries: list[messages.Entry], found: list[rows.Stored]) -> None:
        for entry, stored in zip(entries, found, strict=True):
            if stored.stop is None:
                self._tell_trouble(messages.TroubleKind.LOST, stored.error)
                _LOG.error("a stop cannot be a row", name=entry.stop.name, error=stored.error)
                self.news.append(
                    messages.Answer(entry, entry.stop, messages.Outcome.PENDING, is_settled=True)
                )
            else:
                outcome = messages.Outcome.STORED if stored.is_new else messages.Outcome.KNOWN
                self.news.append(messages.Answer(entry, stored.stop, outcome, is_settled=True))
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
        taken = self._notes.take(self._batch)
        try:
            if self._untidied is not None:
                self._upkeep.do(functools.partial(self._file.tidy, self._untidied))
                self._untidied = None
            self._upkeep.do(lambda: self._file.note(taken))
        except errors.Failure as error:
            self._upkeep.failed(str(error))
            self._notes.give_back(taken)
            return
        self._upkeep.succeeded(is_all_written=not self._backlog)
        if not self._notes:
            self._notes_due = time.monotonic() + _NOTE_PAUSE
        self._count_written(len(taken))

    def _store_backlog(self) -> None:
        """Store the oldest of the stops that could not be stored when they came."""
        entries = list(itertools.islice(self._backlog, self._batch))
        try:
            found = self._upkeep.do(lambda: self._file.store([(e.stop, e.marker) for e in entries]))
        except errors.Failure as error:
            self._upkeep.failed(str(error))
            return
        for _ in entries:
            self._backlog.popleft()
        self._answer(entries, found)
        self._upkeep.succeeded(is_all_written=not self._backlog)

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
            self._upkeep.failed(str(error))

    def _prune(self) -> None:
        self._prune_at = time.monotonic() + _PRUNE_PAUSE
        try:
            has_more = self._upkeep.do(lambda: self._file.prune(time.time()))
        except errors.Failure as error:
            self._upkeep.failed(str(error))
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
                    question.result = self._upkeep.do(lambda: self._file.load(question.boot_id))
                    break
                except errors.Unavailable:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            self._write_notes()
        except errors.Failure as error:
            self._upkeep.failed(str(error))
            try:
                question.result = self._file.peek(question.boot_id)
            except errors.Failure as unreadable:
                _LOG.error("what an earlier run knew cannot be read", reason=str(unreadable))
        finally:
            question.is_answered.set()

    def _postpone(self, entries: list[messages.Entry]) -> None:
        self._backlog.extend(entries)
        self.news.extend(
            messages.Answer(entry, entry.stop, messages.Outcome.PENDING, is_settled=False)
            for entry in entries
        )
        self._tell()

    def _count_written(self, rows: int) -> None:
        self._unfolded += rows + 1
        self._written_at = time.monotonic()
        if self._unfolded >= _CHECKPOINT_ROWS:
            self._checkpoint()

    def _tell_trouble(self, kind: messages.TroubleKind, detail: str) -> None:
        self.news.append(messages.Trouble(kind, detail, len(self._backlog)))
        self._tell()
