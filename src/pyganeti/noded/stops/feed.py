"""Stops for any number of askers, some of whom wait for the next one.

Whoever waits costs nothing until there is news: all share one `following.Following`, which is there
only while somebody waits, and for a while after.

Invariants: an asker who waits is woken by every stop that is committed after his question came; his
wait ends at its time, when he is cancelled, and when the daemon ends. No more than ``most`` wait at
once, since each holds a client's place.

Failure: a journal that is not there or cannot be read is no failure but an answer that says so, and
is waited for as news is. A disk that hangs costs an asker `_GRACE` more than he would wait, not his
place for ever.
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from pyganeti.base import errors
from pyganeti.noded.stops import following, marks, reading
from pyganeti.wire import stopanswers

_T = TypeVar("_T")

_GRACE: Final = 10.0
_KEPT: Final = 15.0
"""Seconds for which following goes on for the next one who waits."""


class Feed:
    """The stops on record, and those to come."""

    def __init__(self, journal: Path, *, runs: Callable[[], bool], most: int) -> None:
        """Do nothing yet; ``runs`` says whether kvmd does, and may block a little."""
        self._path = journal
        self._runs = runs
        self._most = most
        self._following: following.Following | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._is_ending = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    async def stops(self, asked: reading.Asked, patience: float) -> stopanswers.Stops:
        """Return the stops that are wanted, when there are some, or after ``patience`` seconds.

        Raises Exhausted if too many wait already, BadInput if the mark is none, Interrupted if the
        disk does not answer.
        """
        marks.parse(asked.mark)
        async with _bounded(patience + _GRACE):
            if not patience or self._is_ending:
                return await asyncio.to_thread(self._once, functools.partial(_stops, asked))
            with self._place() as followed:
                deadline = asyncio.get_running_loop().time() + patience
                return await self._wait(followed, asked, deadline)

    async def why(self, name: str) -> stopanswers.Why:
        """Return what is known of a guest's last stop."""
        async with _bounded(_GRACE):
            return await asyncio.to_thread(self._once, lambda opened: opened.why(name))

    async def last_stops(self, of: Sequence[str]) -> stopanswers.LastStops:
        """Return the last stop of each of some guests, and since when those run that do."""
        async with _bounded(_GRACE):
            return await asyncio.to_thread(self._once, lambda opened: opened.last_stops(of))

    def end(self) -> None:
        """Have all who wait answered now, and let nobody wait any more."""
        self._is_ending = True
        if self._following is not None:
            self._following.wake()

    def close(self) -> None:
        """Let go of the journal; nobody may be waiting."""
        self.end()
        self._stop_following()

    async def _wait(
        self, followed: following.Following, asked: reading.Asked, deadline: float
    ) -> stopanswers.Stops:
        is_late = False
        while True:
            news = followed.news
            answer = await followed.read(functools.partial(_stops, asked))
            if answer.rows or answer.anew or is_late or self._is_ending:
                return answer
            asked = dataclasses.replace(asked, mark=answer.mark)
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError:
                is_late = True

    @contextlib.contextmanager
    def _place(self) -> Iterator[following.Following]:
        if self._waiting >= self._most:
            raise errors.Exhausted(
                f"{self._waiting} calls wait for stops here already; ask without waiting"
            )
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        followed = self._following
        if followed is None or followed.is_over:
            self._stop_following()
            followed = self._following = following.Following(self._path, self._runs)
        self._waiting += 1
        try:
            yield followed
        finally:
            self._waiting -= 1
            if not self._waiting:
                loop = asyncio.get_running_loop()
                self._idle = loop.call_later(_KEPT, self._stop_following)

    def _stop_following(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        followed, self._following = self._following, None
        if followed is not None:
            followed.end()

    def _once(self, look: Callable[[reading.Reading], _T]) -> _T:
        opened = reading.Reading(self._path, self._runs)
        try:
            return look(opened)
        finally:
            opened.close()


@contextlib.asynccontextmanager
async def _bounded(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise errors.Interrupted("the disk with the stop journal does not answer") from error


def _stops(asked: reading.Asked, opened: reading.Reading) -> stopanswers.Stops:
    return opened.stops(asked)
