"""What is asked of a daemon that leads at times, and at times stands by: one door, changing hosts.

Clients stay connected while that changes. A request that found nobody to lead, and was not done,
waits for the change, for a while; so does a question that was broken off. A deed that was begun is
never begun again.

When a host leaves, what he has begun gets some time to end; when he is deposed it is broken off.
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
        self._host: Hosting | None = None
        self._changed = asyncio.Event()

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
                return await self._host.perform(request)
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
        hosting = Hosting(methods)
        self._host = hosting
        self.change()
        try:
            yield hosting
        finally:
            self._host = None
            await hosting.end()
            self.change()


class Hosting:
    """Methods, for as long as they are asked, and what they have begun."""

    def __init__(self, methods: connections.Methods) -> None:
        self._methods = methods
        self._begun: set[asyncio.Task[Any]] = set()

    def is_question(self, request: luxi.Request) -> bool:
        """Say whether it may be broken off."""
        return self._methods.is_question(request)

    def depose(self) -> None:
        """Break off what was begun: another leads, so that it cannot come to an end."""
        for task in self._begun:
            task.cancel()

    async def end(self) -> None:
        """Wait for what was begun, for a while, and break off the rest."""
        if not self._begun:
            return
        await asyncio.wait(self._begun, timeout=_DEED_PATIENCE)
        for task in self._begun:
            _LOG.warning("a request is broken off")
            task.cancel()
        if self._begun:
            await asyncio.wait(self._begun)

    async def perform(self, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        """Do what is asked; raises Again or Interrupted if it is broken off."""
        task = asyncio.create_task(self._outcome(request))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not task.cancelled():
            return task.result()
        if self.is_question(request):
            raise forwarding.Again("this node leads the cluster no more")
        raise errors.Interrupted(
            "this node leads the cluster no more; what was asked may be done: see gnt-job list"
        )

    async def _outcome(self, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        return await self._methods.perform(request)
