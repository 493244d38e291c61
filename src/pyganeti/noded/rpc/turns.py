"""Who may act on a thing now: calls on the same one take turns, in the order in which they came.

Nothing here times out: the next call waits as long as the one before it works. A thing that nobody
is at costs nothing, and a line that grows without end is refused.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from pyganeti.base import errors

_LONGEST: Final = 64
"""Calls that may wait for one thing: more is a master that has lost its mind, or its patience."""


class Turns:
    """The lines of calls, one a thing."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def of(self, key: str | None) -> AsyncIterator[None]:
        """Wait for the turn at a thing, and give it on at the end; None is never waited for.

        Raises Exhausted if too many wait already.
        """
        if key is None:
            yield
            return
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = deque()
        else:
            await self._wait(key, line)
        try:
            yield
        finally:
            self._pass_on(key)

    async def _wait(self, key: str, line: deque[asyncio.Future[None]]) -> None:
        if len(line) >= _LONGEST:
            raise errors.Exhausted(f"{len(line)} calls wait for {key} already")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came at the last moment
                self._pass_on(key)
            else:
                line.remove(turn)
            raise

    def _pass_on(self, key: str) -> None:
        line = self._lines[key]
        while line:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._lines[key]
