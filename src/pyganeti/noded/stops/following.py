"""Follows the journal for those who wait: one watch, one thread that reads, one task.

Invariants: a stop that is committed after `Following.news` was taken sets it. The watch begins
before the first look, and a look that finds anything else than the one before is news.

Failure: where inotify cannot be had the journal is looked at five times a second; whatever else
happens, every few seconds.
"""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pyganeti.base import log
from pyganeti.noded.stops import reading, watching

_LOG = log.get(__name__)
_T = TypeVar("_T")

_THREAD_NAME: Final = "work-stops"
"""Begins like those of other calls: at the end nobody waits for one that hangs in the kernel."""

_AGAIN: Final = (0.002, 0.01, 0.05, 0.25)
"""Seconds to the looks that follow the one after an event: the log is written before readers can
see what it says, and the writer may be held up in between."""

_NOW_AND_THEN: Final = 5.0
_BLIND: Final = 0.2


class Following:
    """Follows from its making on, until `end`."""

    def __init__(self, path: Path, runs: Callable[[], bool]) -> None:
        self.news = asyncio.Event()
        """Set, and another put in its place, when there may be something new."""
        self._reading = reading.Reading(path, runs)
        self._thread = concurrent.futures.ThreadPoolExecutor(1, _THREAD_NAME)
        self._changed = asyncio.Event()
        self._watch = watching.Watch(path, self._changed.set)
        self._watch.open()
        self._task = asyncio.get_running_loop().create_task(self._follow())

    @property
    def is_over(self) -> bool:
        """Whether there will be no news any more."""
        return self._task.done()

    def wake(self) -> None:
        """Have those who wait look."""
        self.news.set()
        self.news = asyncio.Event()

    async def read(self, look: Callable[[reading.Reading], _T]) -> _T:
        """Have the thread look at the journal."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, look, self._reading)

    def end(self) -> None:
        """Follow no longer; nobody may be waiting. Returns at once."""
        self._task.cancel()
        self._watch.close()
        self._thread.submit(self._reading.close)
        self._thread.shutdown(wait=False)

    async def _follow(self) -> None:
        known: reading.State | None = None
        looks = iter(_AGAIN)
        while True:
            try:
                found = await self.read(reading.Reading.state)
            except Exception:
                _LOG.exception("stops are not followed any more")
                raise
            if found != known:
                known = found
                self.wake()
            pause = next(looks, _BLIND if self._watch.is_blind else _NOW_AND_THEN)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()
                looks = iter(_AGAIN)
            self._changed.clear()
            if self._watch.is_blind:
                self._watch.open()
