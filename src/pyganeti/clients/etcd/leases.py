"""A lease, and until when its holder may believe in it.

etcd ends a lease when it has not been renewed for so many seconds, by its own clock. The holder
counts from the moment before it asked for the renewal, and a fifth less, by a clock that goes on
while this process or the whole machine stands still: so it stops believing before etcd does,
whoever stood still and whatever was slow. What it believes is `Lease.is_held`, which asks nobody.

In failure: etcd not answering, the belief ends with its time, and comes back if etcd answers in the
end and still has the lease. A lease that etcd has ended never comes back.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client, failures

_LOG = log.get(__name__)

_BELIEF: Final = 0.8
_RENEWALS: Final = 5
"""In the time that a lease lasts."""

Clock = Callable[[], float]


def since_boot() -> float:
    """Return seconds that go on while the machine is suspended, and are never set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """One lease; `grant` it, and `keep` it in a task."""

    def __init__(
        self, etcd: client.Client, seconds: int, *, clock: Clock = since_boot, number: int = 0
    ) -> None:
        """Make one that lasts ``seconds`` from each renewal."""
        self.number: Final = number or secrets.randbits(62) + 1
        self.seconds: Final = seconds
        self.is_over = False
        """Whether etcd has said that there is no such lease any more."""
        self._etcd = etcd
        self._clock = clock
        self._until = clock()

    @property
    def left(self) -> float:
        """How many seconds it may be believed in, 0 if not any more."""
        return 0.0 if self.is_over else max(self._until - self._clock(), 0.0)

    @property
    def is_held(self) -> bool:
        """Whether it may be believed in at this moment."""
        return self.left > 0

    async def grant(self) -> None:
        """Have there be such a lease; raises Unanswered."""
        asked = self._clock()
        await self._etcd.grant(self.number, self.seconds)
        self._believe(asked)

    async def keep(self, changed: Callable[[], None] = lambda: None) -> None:
        """Renew it time and again; return when it is over.

        ``changed`` is called when it is not held any more, when it is again, and when it is over.
        """
        was_held = self.is_held
        interval = self.seconds / _RENEWALS
        while not self.is_over:
            asked = self._clock()
            try:
                # No longer than until the next is due: a renewal that is late is worth nothing.
                await self._etcd.renew(self.number, patience=interval)
            except failures.Gone:
                self.is_over = True
            except errors.Failure as error:
                _LOG.debug("a lease was not renewed", left=self.left, reason=str(error))
            else:
                self._believe(asked)
            if was_held is not self.is_held or self.is_over:
                was_held = self.is_held
                changed()
            if not self.is_over:
                await self._pause(asked + interval)
                if was_held and not self.is_held:
                    was_held = False
                    changed()

    async def revoke(self) -> None:
        """End it; raises Unanswered, and then etcd ends it when its time is over."""
        self.is_over = True
        await self._etcd.revoke(self.number)

    def _believe(self, asked: float) -> None:
        self._until = max(self._until, asked + self.seconds * _BELIEF)

    async def _pause(self, until: float) -> None:
        """Wait until then, or until it is not held any more."""
        if self.is_held:
            until = min(until, self._until)
        await asyncio.sleep(max(until - self._clock(), 0.05))
