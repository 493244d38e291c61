"""A real receiver of webhooks on this machine, over TLS by a made authority or without.

    async with webreceivers.serving(authority) as receiver:
        receiver.answers = [500, 200]
        ...
        await receiver.received(2)

`python -m lab.webreceivers PORT FILE` keeps what comes in a file, for machines of `lab.cluster`.
"""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import trustme
from aiohttp import web

_PATIENCE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """What was sent."""
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found


class Receiver:
    """What came; each answer is the next of ``answers``, then 200.

    An answer is a status, with headers perhaps; ``reset`` breaks off, ``hang`` never answers.
    """

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[int | str | tuple[int, dict[str, str]]] = []
        self.port = 0
        self.scheme = "http"
        self.ending = asyncio.Event()
        self._came = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://localhost:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        """The ids of what came, in its order."""
        return [one.event["id"] for one in self.got]

    async def received(self, count: int, patience: float | None = _PATIENCE) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(patience), self._came:
            await self._came.wait_for(lambda: len(self.got) >= count)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take one request."""
        body = await request.read()
        async with self._came:
            self.got.append(Got(dict(request.headers), body))
            self._came.notify_all()
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "reset":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if answer == "hang":
            await self.ending.wait()
            return web.Response(status=503)
        if isinstance(answer, tuple):
            status, headers = answer
            return web.Response(status=status, headers=headers, body=b"x" * 100_000)
        return web.Response(status=int(answer), text="so be it")


@contextlib.asynccontextmanager
async def serving(authority: trustme.CA | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver until left, with a certificate for localhost if there is an authority."""
    receiver = Receiver()
    context: ssl.SSLContext | None = None
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        receiver.scheme = "https"
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, reuse_address=True)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.ending.set()
        await runner.cleanup()


async def _keep(port: int, file: Path) -> None:
    """Have each body be a line of a file, for ever."""
    async with serving(port=port) as receiver:
        written = 0
        while True:
            await receiver.received(written + 1, None)
            with file.open("ab") as lines:
                lines.write(b"".join(got.body + b"\n" for got in receiver.got[written:]))
            written = len(receiver.got)


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file of webhooks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


if __name__ == "__main__":
    asyncio.run(_keep(int(sys.argv[1]), Path(sys.argv[2])))
