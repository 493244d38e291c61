"""Thousands of descriptors watched through one epoll, which asyncio watches as one descriptor.

A transport or a reader handle of asyncio's costs kilobytes a connection; an entry here costs a
dictionary slot and a bound method. The price is that callbacks get readiness, not data.

Invariants: a turn hands out at most `_MOST_AT_ONCE` events and ends soon after `_TURN` seconds, and
what it did not get to comes first in the next turn, so neither the loop nor any descriptor starves
while others are flooded. A callback that raises is logged and loses its descriptor's place here
(the descriptor itself stays its owner's); the others go on.

Level-triggered only. Not for descriptors whose poll() consumes what it reports, such as
/proc/self/mountinfo: asyncio's look at this epoll would consume it first.
"""

import asyncio
import contextlib
import select
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from pyganeti.base import log

Callback: TypeAlias = Callable[[int], None]
"""Called with the mask of events. Must bear a call for nothing: readiness may have passed."""

_MOST_AT_ONCE: Final = 64
_TURN: Final = 0.002

_log = log.get(__name__)


class Poller:
    """An epoll of its own behind one reader of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch; raises OSError if there is no descriptor left."""
        self._loop = loop
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._left: list[tuple[int, int]] = []
        loop.add_reader(self._epoll.fileno(), self._turn)

    def __len__(self) -> int:
        return len(self._callbacks)

    @property
    def is_idle(self) -> bool:
        """Whether no descriptor is ready."""
        return not self._left and not self._epoll.poll(0, 1)

    def add(self, fd: int, mask: int, callback: Callback) -> None:
        """Watch a descriptor; ``mask`` is of select.EPOLL*. Raises OSError (ENOSPC, ENOMEM)."""
        self._epoll.register(fd, mask)
        self._callbacks[fd] = callback

    def modify(self, fd: int, mask: int) -> None:
        """Watch a descriptor that is watched already for other events."""
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Watch a descriptor no longer. To be called before closing it; twice does no harm."""
        if self._callbacks.pop(fd, None) is None:
            return
        if self._left:
            self._left = [event for event in self._left if event[0] != fd]
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Watch nothing any more. The descriptors stay open; they are their owners'."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        self._callbacks.clear()
        self._left.clear()

    def _turn(self) -> None:
        events = self._left or self._epoll.poll(0, _MOST_AT_ONCE)
        self._left = []
        ends = time.monotonic() + _TURN
        for position, (fd, mask) in enumerate(events, 1):
            callback = self._callbacks.get(fd)
            if callback is None:
                continue
            try:
                callback(mask)
            except Exception as error:  # noqa: BLE001 - the top frame of every callback
                _log.exception("callback failed", fd=fd, error=repr(error))
                if self._callbacks.get(fd) is callback:
                    self.remove(fd)
            if time.monotonic() > ends and position < len(events):
                self._left = events[position:]
                return
