"""Tells listeners what happened, in order, without ever waiting for one.

Each listener has a queue of its own and a task that empties it. A listener that is too slow loses
the oldest events, and one that fails loses the one with which it did; both are logged.
"""

import asyncio
import collections
from collections.abc import Iterable
from typing import Final

from pyganeti.base import log
from pyganeti.watcher import events

_LOG = log.get(__name__)

_MOST: Final = 10_000


class Announcer:
    """Tells; its tasks run from `start` to `close`."""

    def __init__(self, listeners: Iterable[events.Listener], most: int = _MOST) -> None:
        self._ends = [_End(listener, most) for listener in listeners]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to tell."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(end.run()) for end in self._ends]

    def tell(self, event: events.Event) -> None:
        """Have listeners told; returns at once."""
        for end in self._ends:
            end.put(event)

    async def close(self, patience: float) -> None:
        """Tell what is left for so many seconds, and no more after that."""
        try:
            async with asyncio.timeout(patience):
                for end in self._ends:
                    await end.emptied()
        except TimeoutError:
            _LOG.warning("not all events were told", left=sum(end.waiting for end in self._ends))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


class _End:
    def __init__(self, listener: events.Listener, most: int) -> None:
        self._listener = listener
        self._most = most
        self._queue: collections.deque[events.Event] = collections.deque()
        self._is_late = False
        self._come = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def put(self, event: events.Event) -> None:
        if len(self._queue) >= self._most:
            self._queue.popleft()
            if not self._is_late:
                _LOG.warning("a listener is too slow and misses events")
            self._is_late = True
        self._queue.append(event)
        self._empty.clear()
        self._come.set()

    async def emptied(self) -> None:
        await self._empty.wait()

    async def run(self) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            while self._queue:
                event = self._queue.popleft()
                try:
                    await self._listener.on_event(event)
                except Exception:  # noqa: BLE001 - the listener's top frame: others are told
                    _LOG.exception("a listener failed", event=event.kind, name=event.instance)
            self._is_late = False
            self._empty.set()
