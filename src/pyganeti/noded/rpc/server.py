"""The node RPC's HTTP side: ``POST /CALL`` with a body, whatever its Content-Type says.

What is wrong with HTTP itself is answered in HTTP: 400, 403, 404, 408, 413; everything else is a
200 whose body says how the call went. Certificates are read again when their files change, so that
renewed ones count from the next connection on.

What a call is to be let through by is looked at when its turn has come: a master may have become
none while it waited. The answer to one that is none any more says in its header who is.

At the end no new call is taken, those under way get some time, and then their clients are left;
what they began is then in the state in which a kill -9 would leave it.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import http_exceptions, web_protocol, web_request, web_response

from pyganeti.base import errors, log, tls
from pyganeti.clients import promises
from pyganeti.noded import fencing
from pyganeti.noded.rpc import admission, connections, dispatch, listening
from pyganeti.wire import epochs, noderpc

_LOG = log.get(__name__)

_SWEEP: Final = 0.5
_BODY_PATIENCE: Final = 120.0
"""Seconds that a body may take in all, however steadily it drips."""

_LINGER: Final = 1.0
_HEADER_LIMIT: Final = 8190
_END_PATIENCE: Final = 10.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Server:
    """Answers clients on one socket."""

    def __init__(
        self,
        dispatcher: dispatch.Dispatcher,
        *,
        admitted: admission.Admission | None,
        fence: fencing.Fence,
        secured: Callable[[], ssl.SSLContext | None],
        max_clients: int,
        idle: float = connections.IDLE,
        body_patience: float = _BODY_PATIENCE,
        refused: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare to serve; ``refused`` is told the HTTP status of what came to no call."""
        self._refused = refused
        self._dispatcher = dispatcher
        self._admission = admitted
        self._fence = fence
        self._secured = secured
        self._max_clients = max_clients
        self._idle = idle
        self._body_patience = body_patience
        self._listener: listening.Listener | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._connections = connections.Connections(
            self._handle,
            self._on_lost,
            access_log=None,
            logger=_quiet_logger(),
            keepalive_timeout=idle,
            lingering_time=_LINGER,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
            auto_decompress=False,
        )

    def start(self, listening_socket: socket.socket) -> None:
        """Begin to answer."""
        self._listener = listening.Listener(
            listening_socket,
            made=self._connections,
            secured=self._secured,
            limit=self._max_clients,
            patience=self._idle,
        )
        self._listener.start()
        self._sweeping = asyncio.create_task(self._sweep(self._listener))

    async def close(self, patience: float = _END_PATIENCE) -> None:
        """End: take no more calls, wait for those under way, then leave their clients."""
        if self._listener is not None:
            await self._listener.close()
        self._connections.pre_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._dispatcher.idle.wait()
        await self._connections.shutdown(_LINGER)
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    @property
    def count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def _on_lost(self) -> None:
        if self._listener is not None:
            self._listener.release()

    async def _sweep(self, listener: listening.Listener) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP, self._idle / 4))
            mute = self._connections.drop_silent(
                idle=self._idle, others_wait=listener.others_wait()
            )
            for address in mute:
                _LOG.info("a client that said nothing was dropped", address=address)

    async def _handle(self, request: web_request.BaseRequest) -> web_response.StreamResponse:
        connection = self._connections.of(request)
        if connection is None:
            raise ConnectionResetError("the client is gone")
        connection.begin()
        try:
            return await self._answer(request, connection)
        except _HttpError as error:
            _LOG.warning(
                "a request was refused",
                address=connection.address,
                by="" if connection.peer is None else connection.peer.name,
                path=request.rel_url.raw_path[:200],
                status=int(error.status),
                why=error.why,
            )
            self._refused(int(error.status))
            return error.response()
        finally:
            connection.end()

    async def _answer(
        self, request: web_request.BaseRequest, connection: connections.Connection
    ) -> web_response.StreamResponse:
        if self._admission is not None:
            refusal = self._admission.refusal(connection.peer)
            if refusal is not None:
                raise _HttpError(HTTPStatus.FORBIDDEN, refusal)
        if request.method != "POST":
            raise _HttpError(HTTPStatus.BAD_REQUEST, "only POST is understood")
        name = request.path.removeprefix("/")
        if not self._dispatcher.has(name):
            raise _HttpError(HTTPStatus.NOT_FOUND, "there is no such call")
        try:
            said = await self._fence.hear(request.headers.get(epochs.HEADER))
        except errors.BadInput as error:
            raise _HttpError(HTTPStatus.BAD_REQUEST, str(error)) from error
        body = await self._read(request)
        caller = connection.address if connection.peer is None else connection.peer.name
        later: list[epochs.Epoch] = []

        @contextlib.contextmanager
        def passed() -> Iterator[None]:
            try:
                with self._fence.passed(name, said):
                    yield
            except promises.Outranked as error:
                later.append(error.known)
                raise

        answer = await self._dispatcher.answer(
            name,
            body,
            caller=caller,
            is_wanted=lambda: connection.is_open,
            gone=connection.gone,
            passed=passed,
            by_master=said is not None,
        )
        response = web_response.Response(body=answer, content_type="application/json")
        response.headers[epochs.MEMORY_HEADER] = "epochs"
        if later:
            response.headers[epochs.HEADER] = str(later[-1])
        return response

    async def _read(self, request: web_request.BaseRequest) -> bytes:
        if (request.content_length or 0) > noderpc.BODY_LIMIT:
            raise _too_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(_CONTINUE)
            request.writer.output_size = 0
        pieces: list[bytes] = []
        length = 0
        try:
            async with asyncio.timeout(self._body_patience):
                while True:
                    async with asyncio.timeout(self._idle):
                        piece = await request.content.readany()
                    if not piece:
                        return b"".join(pieces)
                    pieces.append(piece)
                    length += len(piece)
                    if length > noderpc.BODY_LIMIT:
                        raise _too_large()
        except TimeoutError as error:
            raise _HttpError(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from error
        except (web_protocol.RequestPayloadError, http_exceptions.HttpProcessingError) as error:
            raise _HttpError(HTTPStatus.BAD_REQUEST, f"the body is damaged: {error}") from error


class ContextOfFiles:
    """The TLS context that certificate files ask for, made anew when one of them changes.

    If they cannot be used any more, the one before holds on, and that is said once.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._seen = self._look()
        self._context = tls.server_context(certificate, key, certificate)

    def __call__(self) -> ssl.SSLContext:
        """Return the context of the moment."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            certificate, key = self._files
            try:
                self._context = tls.server_context(certificate, key, certificate)
            except errors.Failure as error:
                _LOG.error("the certificates read before hold on", why=str(error))
            else:
                _LOG.info("the certificates were read again", file=str(certificate))
        return self._context

    def _look(self) -> tuple[object, ...]:
        found: list[object] = []
        for path in self._files:
            try:
                status = path.stat()
                found += (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            except OSError as error:
                found.append(error.errno)
        return tuple(found)


class _HttpError(Exception):
    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why

    def response(self) -> web_response.Response:
        said = {"code": int(self.status), "message": self.status.phrase, "explain": self.why}
        response = web_response.Response(
            status=self.status, body=msgspec.json.encode(said), content_type="application/json"
        )
        if self.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
            response.force_close()  # the rest of the body is not worth reading
        return response


def _too_large() -> _HttpError:
    return _HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has {noderpc.BODY_LIMIT} bytes at most"
    )


def _quiet_logger() -> logging.Logger:
    """Return what aiohttp logs to: a client's garbage is worth a line, not a traceback of ours."""
    logger = logging.getLogger(f"{__name__}.http")
    logger.addFilter(_in_one_line)
    return logger


def _in_one_line(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, http_exceptions.HttpProcessingError | ConnectionError):
        words = " ".join(str(error).split())[:200]
        record.msg, record.args = f"{record.getMessage()}: {words}", ()
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
