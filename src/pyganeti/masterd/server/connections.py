"""One client's connection: requests in, answers out, one after the other and in their order.

A client that does not take its answers holds up nobody but itself, and is dropped when it takes
none for long; so is one that leaves a request half. When a client goes, a question of its is broken
off; a deed is done to its end. A client that only closes its sending side still gets its answers.

Jobs that a client submits are signed with who it is (`peers`).
"""

import asyncio
import collections
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, cast

from pyganeti.base import errors, log
from pyganeti.masterd.server import crowd as crowds
from pyganeti.masterd.server import peers
from pyganeti.wire import luxi, reasontrail

_LOG = log.get(__name__)

PATIENCE: Final = 180.0
"""Seconds without a sign of life after which a client is let go, as Ganeti's daemons do."""

_PIPELINED: Final = 16
_PIPELINED_BYTES: Final = 1024 * 1024
"""Requests that a client may have sent ahead, and their bytes; further ones stay in its socket."""

_CREDENTIALS: Final = struct.Struct("iII")


class Methods(Protocol):
    """What is asked for; `methods.Methods` is it."""

    async def perform(self, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        """Do what is asked."""

    def is_question(self, request: luxi.Request) -> bool:
        """Say whether it may be broken off."""


class Connection(asyncio.Protocol):
    """A client's connection; ``gone`` is called once, when it is over and nothing is left to do.

    Requests that come by the socket at ``relay`` are another's, and were signed where they came
    from.
    """

    def __init__(
        self,
        methods: Methods,
        crowd: crowds.Crowd,
        gone: Callable[["Connection"], None],
        *,
        signatures: peers.Signatures,
        relay: Path | None = None,
    ) -> None:
        self._methods = methods
        self._crowd = crowd
        self._gone = gone
        self._splitter = luxi.Splitter(
            may_hold=lambda length: crowd.hold(self, length),
            let_go=lambda length: crowd.let_go(self, length),
        )
        self._waiting: collections.deque[bytes | bytearray | None] = collections.deque()
        self._waiting_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._serving: asyncio.Task[None] | None = None
        self._may_break_off = True
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_paused = False
        self._has_ended = False
        self._signatures = signatures
        self._relay = relay
        self._peer: reasontrail.Peer | None = None
        self._by: dict[str, int] = {}
        self._alive_at = time.monotonic()
        self._left = 0

    @property
    def alive_at(self) -> float:
        """When the client last sent something, or was seen to have taken something."""
        if self._transport is not None:
            left = self._transport.get_write_buffer_size()
            if left < self._left:
                self._alive_at = time.monotonic()
            self._left = left
        return self._alive_at

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        peer: socket.socket = transport.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        self._by = {"pid": pid, "uid": uid}
        if self._relay is None or peer.getsockname() != str(self._relay):
            self._peer = reasontrail.Peer(pid, uid)

    def data_received(self, data: bytes) -> None:
        """Take requests in."""
        self._alive_at = time.monotonic()
        for message in self._splitter.feed(data):
            length = len(message or b"")
            if not self._crowd.hold(self, length):
                return
            self._waiting.append(message)
            self._waiting_bytes += length
        self._pause_or_resume()
        if self._serving is None and self._waiting:
            self._serving = asyncio.get_running_loop().create_task(self._serve())

    def eof_received(self) -> bool:
        """Answer what was asked before the end, if there is still somebody to hear it."""
        self._has_ended = True
        transport = self._transport
        return not (transport is None or self._serving is None or _has_left(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """Break off what may be broken off, and forget what was not begun."""
        del exc
        self._transport = None
        self._waiting.clear()
        self._splitter.clear()
        self._crowd.forget(self)
        self._writable.set()
        if self._serving is None:
            self._gone(self)
        elif self._may_break_off:
            self._serving.cancel()

    def pause_writing(self) -> None:
        """Answer nothing more until what was answered is taken."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on answering."""
        self._alive_at = time.monotonic()
        self._writable.set()

    # What the server calls.

    def drop_if_silent(self, now: float) -> None:
        """Let go of a client that neither sends, nor takes, nor waits for something."""
        is_at_work = self._serving is not None and self._writable.is_set()
        if self._transport is None or is_at_work or now - self.alive_at < PATIENCE:
            return
        if not self._splitter.is_between or not self._writable.is_set():
            _LOG.info("a client is let go: it stopped in the middle", **self._by)
        self.drop()

    def drop(self) -> None:
        """Let go of the client; a deed that was begun is done nevertheless."""
        self._waiting.clear()
        self._splitter.clear()
        if self._transport is not None:
            self._transport.abort()

    @property
    def serving(self) -> "asyncio.Task[None] | None":
        """What is being done for the client."""
        return self._serving

    # How requests are served.

    async def _serve(self) -> None:
        try:
            while self._waiting:
                message = self._waiting.popleft()
                length = len(message or b"")
                self._waiting_bytes -= length
                answer = await self._answer(message)
                self._crowd.let_go(self, length)
                del message
                await self._send(answer)
                self._pause_or_resume()
        finally:
            self._serving = None
            if self._transport is None:
                self._gone(self)
            elif self._has_ended:
                self._transport.close()

    def _pause_or_resume(self) -> None:
        """Leave further requests in the client's socket while many wait here already."""
        if self._transport is None or self._transport.is_closing():
            return
        is_full = len(self._waiting) > _PIPELINED or self._waiting_bytes > _PIPELINED_BYTES
        if is_full and not self._is_paused:
            self._transport.pause_reading()
        elif self._is_paused and not is_full:
            self._transport.resume_reading()
        self._is_paused = is_full

    async def _answer(self, message: bytes | bytearray | None) -> bytes:
        begun = time.monotonic()
        method = ""
        try:
            request = luxi.decode_request(_whole(message))
            method = request.method
            self._may_break_off = self._methods.is_question(request)
            if self._peer is not None and peers.is_signed(request):
                request = await self._signatures.signed(request, self._peer)
            answer = luxi.encode_success(await self._methods.perform(request))
            say = _LOG.debug if self._may_break_off else _LOG.info
            say("answered", method=method, seconds=f"{time.monotonic() - begun:.6f}", **self._by)
        except errors.Failure as error:
            _LOG.info("refused or failed", method=method, why=str(error), **self._by)
            return luxi.encode_failure(error)
        except Exception as error:  # noqa: BLE001 - a request's top frame; the client is told
            _LOG.exception("failed unforeseen", method=method, **self._by)
            return luxi.encode_failure(
                errors.Failure(f"a defect in the master daemon, see its log: {error}")
            )
        finally:
            self._may_break_off = True
        return answer

    async def _send(self, answer: bytes) -> None:
        if self._transport is None or not self._crowd.send(self, len(answer)):
            return
        try:
            self._transport.write(answer)
            self._left = self._transport.get_write_buffer_size()
            self._alive_at = time.monotonic()
            await self._writable.wait()
        finally:
            self._crowd.taken(self, len(answer))


def _whole(message: bytes | bytearray | None) -> bytes | bytearray:
    if message is None:
        raise luxi.Unreadable(f"it has more than {luxi.REQUEST_LIMIT} bytes")
    return message


def _has_left(transport: asyncio.Transport) -> bool:
    """Say whether a client whose sending side is closed closed the other one too."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))
