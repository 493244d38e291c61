"""What is asked of a daemon that leads at times, and at times stands by: one door, changing hosts.

Clients stay connected while that changes. A request that found nobody to lead, and was not done,
waits for the change, for a while; so does a question that was broken off. A deed that was begun is
never begun again.

When a host leaves, what he has begun gets some time to end; when he was deposed it is broken off.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from pyganeti.base import errors, log
from pyganeti.masterd.server import connections, forwarding
from pyganeti.wire import luxi

_LOG = log.get(__name__)

PATIENCE: Final = 20.0
"""Seconds in which there has to be a leader: longer than another takes to take over."""

_DEED_PATIENCE: Final = 30.0
_CHANGE: Final = 1.0
"""Seconds after which it is tried again though no change was heard of."""


class Switch:
    """Methods that are somebody else's, now these and now those."""

    def __init__(self, standing_by: connections.Methods, *, patience: float = PATIENCE) -> None:
        """Make one; ``standing_by`` answers whenever nobody else does."""
        self._standing_by = standing_by
        self._patience = patience
        self._host: connections.Methods | None = None
        self._changed = asyncio.Event()
        self._begun: set[asyncio.Task[Any]] = set()

    def is_question(self, request: luxi.Request) -> bool:
        """Say whether it may be broken off."""
        return (self._host or self._standing_by).is_question(request)

    def change(self) -> None:
        """Have those who wait look again: somebody else leads, perhaps."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def perform(self, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        """Do what is asked; raises Unavailable if nobody leads for too long."""
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            changed = self._changed
            try:
                if self._host is None:
                    return await self._standing_by.perform(request)
                return await self._done(self._host, request)
            except forwarding.Again as error:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    raise errors.Unavailable(
                        f"{error}, and none has begun to for {self._patience:g} s; it was not done"
                    ) from error
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, _CHANGE)):
                        await changed.wait()

    @contextlib.asynccontextmanager
    async def hosted(self, methods: connections.Methods) -> AsyncIterator["Hosting"]:
        """Have these methods answer until left; then wait for what they have begun."""
        hosting = Hosting()
        self._host = methods
        self.change()
        try:
            yield hosting
        finally:
            self._host = None
            if self._begun:
                patience = 0 if hosting.is_deposed else _DEED_PATIENCE
                await asyncio.wait(self._begun, timeout=patience)
            for task in self._begun:
                _LOG.warning("a request is broken off")
                task.cancel()
            if self._begun:
                await asyncio.wait(self._begun)
            self.change()

    async def _done(self, host: connections.Methods, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        """Have the host do it, in a task that ends with him."""
        task = asyncio.create_task(_outcome(host, request))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if task.cancelled():
            if host.is_question(request):
                raise forwarding.Again("this node leads the cluster no more")
            raise errors.Interrupted(
                "this node leads the cluster no more; what was asked may be done: see gnt-job list"
            )
        return task.result()


class Hosting:
    """How a host leaves."""

    def __init__(self) -> None:
        self.is_deposed = False
        """Whether another leads already, so that what was begun cannot come to an end."""


async def _outcome(host: connections.Methods, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
    return await host.perform(request)
