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
from pyganeti.masterd.server import connections, listening, peers
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
        node: str = "",
        relay: Path | None = None,
    ) -> None:
        """Prepare to serve on a node; ``relay`` is the socket of requests that were handed on."""
        self._paths = paths
        self._methods = methods
        self._crowd = crowd or crowds.Crowd()
        self._most = most or _most()
        self._group = group
        self._signatures = peers.Signatures(node)
        self._relay = relay
        self._listening: list[listening.Listening] = []
        self._connections: set[connections.Connection] = set()
        self._waking: dict[socket.socket, asyncio.TimerHandle] = {}
        self._establishing: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._is_failing = False

    async def __aenter__(self) -> Self:
        """Listen on all paths; raises as `listening.listen` does, and then listens on none."""
        try:
            for path in self._paths:
                self._listening.append(listening.listen(path, self._group))
        except BaseException:
            self._stop_listening()
            raise
        self._go_on()
        self._sweeping = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take nothing more in, let clients go, and wait for what is being done."""
        self._stop_listening()
        tasks = [*self._establishing, *([self._sweeping] if self._sweeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
            self._rest(held.socket)
            held.close()
        self._listening.clear()

    # Accepting waits for nothing: a connection that was taken cannot get lost on the way.

    def _go_on(self) -> None:
        """Accept, as long as there is room."""
        for held in self._listening:
            if held.socket not in self._waking:
                asyncio.get_running_loop().add_reader(held.socket, self._accept, held.socket)

    def _rest(self, listener: socket.socket) -> None:
        """Leave connections in the kernel's queue."""
        asyncio.get_running_loop().remove_reader(listener)
        if (waking := self._waking.pop(listener, None)) is not None:
            waking.cancel()

    def _accept(self, listener: socket.socket) -> None:
        if len(self._connections) + len(self._establishing) >= self._most:
            self._rest(listener)
            return
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if not self._is_failing:
                _LOG.error("no connection can be accepted", why=str(error))
            self._is_failing = True
            self._rest(listener)
            wake = asyncio.get_running_loop().call_later(_PAUSE, self._wake, listener)
            self._waking[listener] = wake
            return
        self._is_failing = False
        accepted.setblocking(False)  # noqa: FBT003 - no keyword there
        task = asyncio.get_running_loop().create_task(self._establish(accepted))
        self._establishing.add(task)
        task.add_done_callback(self._establishing.discard)

    def _wake(self, listener: socket.socket) -> None:
        self._waking.pop(listener, None)
        self._go_on()

    async def _establish(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._made, accepted)
        except OSError as error:
            accepted.close()
            _LOG.info("a connection came to nothing", why=str(error))
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _made(self) -> connections.Connection:
        made = connections.Connection(
            self._methods,
            self._crowd,
            self._over,
            signatures=self._signatures,
            relay=self._relay,
        )
        self._connections.add(made)
        return made

    def _over(self, connection: connections.Connection) -> None:
        self._connections.discard(connection)
        self._go_on()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self._crowd.relieve()
            now = time.monotonic()
            for connection in list(self._connections):
                connection.drop_if_silent(now)


def _most() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft - _SPARE))
