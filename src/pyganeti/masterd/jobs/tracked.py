"""One job under way: its newest state, and the state that others may be told of.

The two differ while a write is on its way to the disk: a result is told when it would survive a
crash, not before. Log lines and the waiting for something are told at once; they reach the disk
with the next write, at the latest a second later.
"""

import asyncio
import itertools
from typing import Any, Final

import msgspec

from pyganeti.masterd.jobs import commits, files, lifecycle
from pyganeti.wire import jobfile

_SOON: Final = 1.0
"""Seconds after which what nobody waits for is written."""


class Tracked:
    """A job, from the moment in which its number is given out to its end."""

    def __init__(self, job: jobfile.Job, way: commits.Commits) -> None:
        self.job = job
        """The newest state; whoever changes it has it stored, or `tell`s it."""
        self.shown = job
        self.performing: asyncio.Task[Any] | None = None
        self.is_killed = False
        self.is_removed = False
        """Somebody took its file away: it is not written again, and forgotten when it ends."""
        self.has_ended: Final = asyncio.Event()
        """Its end is on the disk, or it is gone."""
        self._way = way
        self._versions = itertools.count(1)
        self._shown_version = 0
        self._log_serial = lifecycle.log_serial(job)
        self._watchers: set[asyncio.Future[None]] = set()
        self._flush: asyncio.TimerHandle | None = None

    async def store(self) -> None:
        """Have the newest state written, and told when that lasts. Raises Removed.

        Waits while the disk is full. What is called for in a task that is cancelled is written all
        the same.
        """
        self._cancel_flush()
        job, version = self.job, next(self._versions)
        try:
            await asyncio.shield(self._put())
        except files.Removed:
            self.is_removed = True
            raise
        self._show(job, version)

    def store_soon(self, delay: float = _SOON) -> None:
        """Have the newest state written some time, with whatever it has become by then."""
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(delay, self._flush_now)

    def tell(self) -> None:
        """Let others see the newest state, which promises nothing that could be lost."""
        self._show(self.job, next(self._versions))

    def log(self, index: int, moment: jobfile.Timestamp, kind: str, text: object) -> None:
        """Add a line to an opcode's log."""
        self._log_serial += 1
        entry = (self._log_serial, moment, kind, text)
        self.job = lifecycle.log(self.job, index, entry)
        self.shown = lifecycle.log(self.shown, index, entry)
        self._wake()
        self.store_soon()

    async def changed(self) -> None:
        """Wait until there is something else to be seen."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.add(watcher)
        try:
            await watcher
        finally:
            self._watchers.discard(watcher)

    def end(self) -> None:
        """Take note that it has ended, and that this is kept, or that it is gone."""
        self._cancel_flush()
        self.has_ended.set()
        self._wake()

    def _put(self) -> asyncio.Future[None]:
        if self.is_removed:
            raise files.Removed(f"job {self.job.id} was removed")
        return self._way.put(self.job.id, jobfile.encode(self.job))

    def _show(self, job: jobfile.Job, version: int) -> None:
        if version < self._shown_version:
            return
        self._shown_version = version
        # Lines that were said meanwhile have been told already.
        ops = tuple(
            shown if shown.log is newest.log else msgspec.structs.replace(shown, log=newest.log)
            for shown, newest in zip(job.ops, self.job.ops, strict=True)
        )
        self.shown = msgspec.structs.replace(job, ops=ops)
        self._wake()

    def _wake(self) -> None:
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    def _flush_now(self) -> None:
        self._flush = None
        if not self.is_removed:
            self._put()

    def _cancel_flush(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
