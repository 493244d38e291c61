"""Node daemons that write down what they are asked and do nothing: for who calls nodes.

They speak the node RPC without TLS, each on an address of its own on the loopback, all on one port.
One can be told to refuse, to hang, and to be down.

    async with recordingnodes.RecordingNodes(3) as nodes:
        ...  # node number 2 is at nodes.address(2), on nodes.port
        nodes.calls(2)  # what it was asked, as pairs of a name and arguments
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from pyganeti.wire import noderpc

_NETWORK: Final = "127.77.0"
PATIENCE: Final = 20.0


class RecordingNodes:
    """Some nodes, from 1 to their number."""

    def __init__(self, count: int) -> None:
        self.port = 0
        self._count = count
        self._calls: dict[int, list[tuple[str, list[Any]]]] = {n: [] for n in range(1, count + 1)}
        self._refusing: set[int] = set()
        self._hanging: dict[int, asyncio.Event] = {}
        self._runners: dict[int, web.AppRunner] = {}
        self._happened = asyncio.Condition()

    async def __aenter__(self) -> Self:
        for number in self._calls:
            await self.start(number)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number in list(self._hanging):
            self.go_on(number)
        for number in list(self._runners):
            await self.stop(number)

    def address(self, number: int) -> str:
        """Return where a node is."""
        return f"{_NETWORK}.{number}"

    def calls(self, number: int, name: str | None = None) -> list[tuple[str, list[Any]]]:
        """Return what a node was asked so far, or of that what has a name."""
        return [call for call in self._calls[number] if name in {None, call[0]}]

    def refuse(self, number: int) -> None:
        """Have a node answer that it cannot, until `accept`."""
        self._refusing.add(number)

    def accept(self, number: int) -> None:
        """Have a node answer again."""
        self._refusing.discard(number)

    def hang(self, number: int) -> None:
        """Have a node not answer until `go_on`."""
        self._hanging[number] = asyncio.Event()

    def go_on(self, number: int) -> None:
        """Have a node answer what it holds, and from now on."""
        self._hanging.pop(number).set()

    async def start(self, number: int) -> None:
        """Have a node take connections."""
        app = web.Application(client_max_size=noderpc.BODY_LIMIT)
        app.router.add_post("/{call}", self._handler(number))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, self.address(number), self.port)
        await site.start()
        self._runners[number] = runner
        if not self.port:
            self.port = runner.addresses[0][1]

    async def stop(self, number: int) -> None:
        """Have a node be down."""
        await self._runners.pop(number).cleanup()

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds of what was asked; raises TimeoutError if it never does."""
        async with asyncio.timeout(PATIENCE), self._happened:
            await self._happened.wait_for(condition)

    def _handler(self, number: int) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            arguments = noderpc.decode_arguments(await request.read())
            self._calls[number].append((request.match_info["call"], arguments))
            async with self._happened:
                self._happened.notify_all()
            if (held := self._hanging.get(number)) is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await held.wait()
            if number in self._refusing:
                return web.Response(body=noderpc.failure("this node takes nothing"))
            return web.Response(body=noderpc.success(None))

        return handle
