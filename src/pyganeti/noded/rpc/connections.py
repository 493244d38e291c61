"""Connections that are open, and which of them have been silent for too long.

A connection is busy from a request's header to its answer, however long that takes; else it has to
say something, or to take what it was sent, every so often, or it is dropped. While others wait to
be let in, connections that are merely kept for a later call go first.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import web_protocol, web_request, web_response, web_server

from pyganeti.base import tls

Handle: TypeAlias = Callable[[web_request.BaseRequest], Awaitable[web_response.StreamResponse]]

IDLE: Final = 10.0
"""Seconds that a client may be silent for."""

_KEPT: Final = 2.0
"""Seconds that a connection is kept for a client's next call while others wait."""


class Connection:
    """One open connection."""

    __slots__ = ("_busy", "_since", "_transport", "_unsent", "address", "gone", "peer", "requests")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._busy = False
        self._since = time.monotonic()
        self._unsent = 0
        self.requests = 0
        self.gone = asyncio.Event()
        """Set when the client has left."""
        secured = transport.get_extra_info("ssl_object")
        self.peer: tls.Peer | None = None if secured is None else tls.peer(secured)
        address = transport.get_extra_info("peername")
        self.address = str(address[0]) if address else ""

    @property
    def is_open(self) -> bool:
        """Whether the client can still be told something."""
        return not self._transport.is_closing()

    def begin(self) -> None:
        """Note that a request has come."""
        self._busy = True
        self.requests += 1

    def end(self) -> None:
        """Note that its answer is on the way."""
        self._busy = False
        self._since = time.monotonic()

    def drop_if_silent(self, now: float, *, idle: float, others_wait: bool) -> bool:
        """Drop it if its time is up; return whether it was."""
        if self._busy:
            return False
        unsent = self._transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._since = now
        self._unsent = unsent
        is_kept = self.requests > 0 and not unsent
        if now - self._since < (min(_KEPT, idle) if others_wait and is_kept else idle):
            return False
        if is_kept:
            self._transport.close()
        else:
            self._transport.abort()
        return True


class Connections(web_server.Server):
    """The protocol that new connections speak (aiohttp's), and those that are open."""

    def __init__(self, handle: Handle, on_lost: Callable[[], object], **options: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(handle, **options)
        self._on_lost = on_lost
        self._open: dict[object, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def of(self, request: web_request.BaseRequest) -> Connection | None:
        """Return the connection that a request came by, None if it is gone by now."""
        return self._open.get(request.protocol)

    def connection_made(
        self, handler: web_protocol.RequestHandler, transport: asyncio.Transport
    ) -> None:
        """Take a connection in; its TLS handshake is done."""
        _acknowledge(transport)
        self._open[handler] = Connection(transport)
        super().connection_made(handler, transport)

    def connection_lost(
        self, handler: web_protocol.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Forget a connection. A call that came by it goes on."""
        super().connection_lost(handler, exc)
        connection = self._open.pop(handler, None)
        if connection is not None:
            connection.gone.set()
            self._on_lost()

    def drop_silent(self, *, idle: float, others_wait: bool) -> list[str]:
        """Drop connections that were silent for too long; return the addresses that never spoke."""
        now = time.monotonic()
        dropped = [
            connection
            for connection in list(self._open.values())
            if connection.drop_if_silent(now, idle=idle, others_wait=others_wait)
        ]
        return [connection.address for connection in dropped if not connection.requests]


def _acknowledge(transport: asyncio.Transport) -> None:
    """Have the kernel tell the client at once that the handshake's last words came.

    We have nothing to say to them, and a client that waits for that word before it sends its
    request (Nagle's algorithm) would wait for 40 ms.
    """
    connected = transport.get_extra_info("socket")
    if connected is not None:
        with contextlib.suppress(OSError):  # gone already
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
