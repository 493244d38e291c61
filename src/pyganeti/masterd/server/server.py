"""Serving LUXI: from both sockets' first connection to the last deed's end.

As many clients are served as there are descriptors to spare; further ones wait in the kernel's
queue. When the daemon ends, no more is taken in, questions are broken off and deeds done.
"""

import asyncio
import resource
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pyganeti.base import log
from pyganeti.masterd.server import connections, listening
from pyganeti.masterd.server import crowd as crowds

_LOG = log.get(__name__)

MOST: Final = 4000
"""Clients that are served at a time."""

_SPARE: Final = 256
"""Descriptors that are for everything else."""

_SWEEP: Final = 15.0
_PAUSE: Final = 0.2
"""Seconds until the next try when the kernel would not give us a connection."""

_DEED_PATIENCE: Final = 30.0


class Server:
    """Serves LUXI, to be used as ``async with``."""

    def __init__(
        self,
        paths: Sequence[Path],
        methods: connections.Methods,
        *,
        crowd: crowds.Crowd | None = None,
        most: int | None = None,
        group: str = listening.DAEMONS,
    ) -> None:
        self._paths = paths
        self._methods = methods
        self._crowd = crowd or crowds.Crowd()
        self._places = asyncio.Semaphore(most or _most())
        self._group = group
        self._listening: list[listening.Listening] = []
        self._connections: set[connections.Connection] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Listen on all paths; raises as `listening.listen` does, and then listens on none."""
        try:
            for path in self._paths:
                self._listening.append(listening.listen(path, self._group))
        except BaseException:
            self._stop_listening()
            raise
        self._tasks = [
            *(asyncio.create_task(self._accept(held.socket)) for held in self._listening),
            asyncio.create_task(self._sweep()),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take nothing more in, let clients go, and wait for what is being done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stop_listening()
        deeds = [held.serving for held in self._connections if held.serving is not None]
        for held in list(self._connections):
            held.drop()
        if deeds:
            _, pending = await asyncio.wait(deeds, timeout=_DEED_PATIENCE)
            for task in pending:
                _LOG.warning("a request is broken off")
                task.cancel()
            if pending:
                await asyncio.wait(pending)
        await asyncio.sleep(0)  # transports tell that they are closed in the loop's next turn

    @property
    def clients(self) -> frozenset[connections.Connection]:
        """The clients' connections."""
        return frozenset(self._connections)

    @property
    def count(self) -> int:
        """How many clients there are."""
        return len(self._connections)

    def _stop_listening(self) -> None:
        for held in self._listening:
            held.close()
        self._listening.clear()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        failing = False
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                if not failing:
                    _LOG.error("no connection can be accepted", why=str(error))
                failing = True
                await asyncio.sleep(_PAUSE)
                continue
            failing = False
            await self._establish(accepted)

    async def _establish(self, accepted: socket.socket) -> None:
        """Serve a client as soon as there is a place for it."""
        try:
            await self._places.acquire()
        except asyncio.CancelledError:
            accepted.close()
            raise
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._made, accepted)
        except OSError as error:
            self._places.release()
            accepted.close()
            _LOG.info("a connection came to nothing", why=str(error))

    def _made(self) -> connections.Connection:
        made = connections.Connection(self._methods, self._crowd, self._over)
        self._connections.add(made)
        return made

    def _over(self, connection: connections.Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self._places.release()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            now = time.monotonic()
            for connection in list(self._connections):
                connection.drop_if_silent(now)


def _most() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft - _SPARE))
