"""Serves the page over plain HTTP: ``GET /metrics``, one request a connection.

That is little enough to be done here by hand, which costs a daemon whose memory is locked nothing.
A client gets a bounded time for everything, and may say `_LINE` bytes. No more than `_MOST` are
served at once; when another comes, the one that has kept us waiting longest goes, so that nobody
can keep the one who collects the figures out by keeping connections.

In failure: where the port cannot be had the daemon goes on without, and says so.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, Protocol

from pyganeti.base import log
from pyganeti.metrics import address as addresses
from pyganeti.metrics import page as pages

_LOG: Final = log.get(__name__)

PATH: Final = "/metrics"
_MOST: Final = 8
_LINE: Final = 8192
_PATIENCE: Final = 5.0
_END: Final = b"\r\n\r\n"
_METHODS: Final = ("GET", "HEAD")


class Page(Protocol):
    """What is served."""

    async def text(self) -> bytes:
        """Return it as it is now."""


class Server:
    """Serves from `start` to `close`; where is in ``address``, None while nothing is served."""

    def __init__(
        self, page: Page, content_type: str, *, patience: float = _PATIENCE, most: int = _MOST
    ) -> None:
        self._page = page
        self._content_type = content_type
        self._patience = patience
        self._most = most
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self.address: addresses.Address | None = None

    @property
    def count(self) -> int:
        """How many are being served."""
        return len(self._clients)

    async def start(self, address: addresses.Address | None) -> None:
        """Begin, if there is an address and it can be had."""
        if address is None:
            return
        try:
            self._server = await asyncio.start_server(
                self._come, address.host, address.port, limit=_LINE
            )
        except (OSError, OverflowError, UnicodeError) as error:
            _LOG.warning("the figures cannot be had", address=str(address), why=str(error))
            return
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = addresses.Address(host, port)
        _LOG.info("the figures can be had", address=str(self.address))

    async def close(self) -> None:
        """Serve nobody any more."""
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._clients.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server, self.address = None, None

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= self._most:
            self._clients.pop(next(iter(self._clients))).cancel()
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients[writer] = task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience):
                method, answer = await self._answered(reader)
                head, body = _head(answer, self._content_type)
                writer.write(head if method == "HEAD" else head + body)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, EOFError):
            pass  # a client that went, or said nothing: its own business
        except Exception:  # noqa: BLE001 - a client's top frame: the others are served
            _LOG.exception("the figures could not be told")
        finally:
            self._clients.pop(writer, None)
            writer.transport.abort()

    async def _answered(self, reader: asyncio.StreamReader) -> "tuple[str, bytes | HTTPStatus]":
        """Read the request; return its method, and the page or what is wrong."""
        try:
            head = await reader.readuntil(_END)
        except asyncio.LimitOverrunError:
            return "", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        words = head.split(b"\r\n", 1)[0].decode("ascii", "replace").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - HTTP's
            return "", HTTPStatus.BAD_REQUEST
        method, target, _ = words
        if method not in _METHODS:
            return method, HTTPStatus.METHOD_NOT_ALLOWED
        if target.partition("?")[0] != PATH:
            return method, HTTPStatus.NOT_FOUND
        return method, await self._page.text()


@contextlib.asynccontextmanager
async def served(page: pages.Page, address: addresses.Address | None) -> AsyncIterator[Server]:
    """Serve a page until left."""
    server = Server(page, pages.CONTENT_TYPE)
    await server.start(address)
    try:
        yield server
    finally:
        await server.close()
        await page.close()


def _head(answer: bytes | HTTPStatus, content_type: str) -> tuple[bytes, bytes]:
    """Return an answer's head and body."""
    if isinstance(answer, HTTPStatus):
        status, kind = answer, "text/plain; charset=utf-8"
        body = f"{answer.value} {answer.phrase}; the figures are at {PATH}\n".encode()
    else:
        status, kind, body = HTTPStatus.OK, content_type, answer
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {', '.join(_METHODS)}")
    return "\r\n".join(lines).encode() + _END, body
