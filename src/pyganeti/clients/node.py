"""Calling node daemons: the node RPC from the side that asks.

Connections are kept for a second or two, shorter than a node keeps them, so that a burst of calls
shares them. Nothing is repeated here: whether a call may be made twice only its caller knows, and a
call that failed on the way may have been carried out.

Failure, by what the caller can do about it:

- `errors.Unavailable`: the node is down: it broke off, or, as `Unreached`, it takes no connection,
  so that nothing was asked;
- `errors.Interrupted`: it took the call, and has not answered in time;
- `errors.Denied`: it does not let us call, or we do not trust it;
- `errors.Refused`: the call failed there, with the node's own words;
- `Deposed`, which is one of these: it knows a later master than the one that calls;
- `errors.BadInput`: it does not know such a call, or takes no body of that size;
- `errors.Damaged`: what it answered is nonsense.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

import aiohttp
from aiohttp import http_exceptions

from pyganeti.base import errors, paths, tls
from pyganeti.wire import callpatience, epochs, noderpc

CONNECT_PATIENCE: Final = 5.0
"""Seconds in which a node has to take a connection, TLS included."""

PLACES: Final = 16
"""Connections to one node at a time: a node has twenty places unless told otherwise, and one that
waits for a place there cannot take over another that has become free here."""

_KEPT: Final = 1.5
_ANSWER_LIMIT: Final = 256 * 1024 * 1024
_PIECE: Final = 256 * 1024
_AT_ONCE: Final = 256
"""Nodes asked at the same time: a cluster's, but not a file's full of addresses."""


class Node(Protocol):
    """What has to be known of a node to call it."""

    @property
    def uuid(self) -> str: ...  # noqa: D102 - what it says
    @property
    def name(self) -> str: ...  # noqa: D102 - what it says
    @property
    def primary_ip(self) -> str: ...  # noqa: D102 - what it says
    @property
    def offline(self) -> bool: ...  # noqa: D102 - what it says


class Deposed(errors.Refused):
    """The node follows a later master, ``known``; who called is none any more."""

    def __init__(self, message: str, known: epochs.Epoch) -> None:
        super().__init__(message)
        self.known = known


def no_master() -> None:
    """Return no epoch: for whoever calls as nobody's master."""


def context_of(layout: paths.Paths) -> ssl.SSLContext:
    """Return what a node's daemons call others with: its client certificate, else the cluster's.

    Raises Unavailable if there is neither.
    """
    authority = layout.server_certificate
    own = layout.client_certificate
    shown = own if own.exists() else authority
    return tls.client_context(shown, shown, authority)


class Unreached(errors.Unavailable):
    """No connection to the node was made: nothing was asked of it."""


class Caller:
    """Calls nodes; to be used as ``async with``, and by any number of tasks at once."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *,
        port: int = noderpc.PORT,
        connect_patience: float = CONNECT_PATIENCE,
        places: int = PLACES,
        epoch: Callable[[], epochs.Epoch | None] = no_master,
    ) -> None:
        """Prepare to call; further calls than ``places`` to one node wait for each other.

        ``epoch`` is asked before each call as which master it is made.
        """
        self._context = context
        self._port = port
        self._connect_patience = connect_patience
        self._places = places
        self._epoch = epoch
        self._remembering: dict[str, bool] = {}
        self._session: aiohttp.ClientSession | None = None

    def renew(self, context: ssl.SSLContext) -> None:
        """Show and trust other certificates from the next connection on."""
        self._context = context

    def remembers(self, address: str) -> bool:
        """Tell whether the node at an address remembers epochs, by its last answer."""
        return self._remembering.get(address, False)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            keepalive_timeout=_KEPT,
            limit=0,
            limit_per_host=self._places,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers={"User-Agent", "Accept-Encoding", "Accept"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(
        self,
        address: str,
        name: str,
        arguments: Sequence[object] = (),
        *,
        timeout: float | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Have the node at an address carry out a call; return what it answers.

        It has ``timeout`` seconds, or those of `callpatience`. Raises as the module says.
        """
        if self._session is None:
            raise RuntimeError("a caller works inside its 'async with' only")
        host = f"[{address}]" if ":" in address else address
        seconds = callpatience.of(name) if timeout is None else timeout
        scheme = "http" if self._context is None else "https"
        headers = {"Content-Type": "application/json"}
        epoch = self._epoch()
        if epoch is not None:
            headers[epochs.HEADER] = str(epoch)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.post(
                    f"{scheme}://{host}:{self._port}/{name}",
                    data=noderpc.encode_arguments(arguments),
                    headers=headers,
                    ssl=False if self._context is None else self._context,
                    timeout=aiohttp.ClientTimeout(sock_connect=self._connect_patience),
                    allow_redirects=False,
                ) as response,
            ):
                body = await _read(response)
                _check(response.status, body, address, name)
                later = response.headers.get(epochs.HEADER)
                self._remembering[address] = epochs.MEMORY_HEADER in response.headers
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreached(f"{address} does not take connections") from error
        except TimeoutError as error:
            raise errors.Interrupted(
                f"{address} has not answered {name} after {seconds:g} s"
            ) from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise errors.Denied(f"no TLS with {address}: {error}") from error
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError) as error:
            if _is_broken_off(error):
                raise errors.Unavailable(f"{address} broke off: {_words(error)}") from error
            raise errors.Damaged(f"{address} does not speak HTTP: {_words(error)}") from error
        except aiohttp.InvalidURL as error:
            raise errors.BadInput(f"{address!r} is not a node's address") from error
        except aiohttp.ClientConnectorError as error:
            # Its own words have the address again, and the TLS context as Python shows it.
            why = error.os_error.strerror or str(error.os_error)
            raise Unreached(f"{address} does not take connections: {why}") from error
        except aiohttp.ClientError as error:
            raise errors.Unavailable(f"{address} cannot be asked: {_words(error)}") from error
        return _payload(body, later)

    async def call_each(
        self,
        addresses: Iterable[str],
        name: str,
        arguments: Sequence[object] = (),
        *,
        timeout: float | None = None,
    ) -> dict[str, Any | errors.Failure]:
        """Have many nodes carry out a call at once; return for each its answer or what failed.

        Nobody waits for a node that is slow longer than ``timeout`` seconds, but its own answer.
        """
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(address: str) -> Any | errors.Failure:  # noqa: ANN401 - JSON
            async with places:
                try:
                    return await self.call(address, name, arguments, timeout=timeout)
                except errors.Failure as failure:
                    return failure

        asked = list(dict.fromkeys(addresses))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(address)) for address in asked]
        return {address: task.result() for address, task in zip(asked, tasks, strict=True)}


async def _read(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    length = 0
    async for piece in response.content.iter_chunked(_PIECE):
        pieces.append(piece)
        length += len(piece)
        if length > _ANSWER_LIMIT:
            response.close()
            raise errors.Damaged(f"the node's answer has more than {_ANSWER_LIMIT} bytes")
    return b"".join(pieces)


def _check(status: int, body: bytes, address: str, name: str) -> None:
    """Raise what an answer in HTTP's own terms means."""
    if status == 200:  # noqa: PLR2004 - HTTP's "all right"
        return
    said = body[:500].decode(errors="replace")
    message = f"{address} answers {name} with HTTP {status}: {said}"
    if status in {401, 403}:
        raise errors.Denied(message)
    if status in {400, 404, 413}:
        raise errors.BadInput(message)
    raise errors.Unavailable(message)


def _payload(body: bytes, later: str | None) -> Any:  # noqa: ANN401 - JSON
    """Return what was answered; ``later`` is the epoch for which the node refused, if it did."""
    if later is None:
        return noderpc.decode_answer(body)
    try:
        known = epochs.from_header(later)
    except errors.BadInput as error:
        raise errors.Damaged(f"the node's answer has nonsense in its header: {error}") from error
    try:
        return noderpc.decode_answer(body)
    except errors.Refused as error:
        raise Deposed(str(error), known) from error


def _is_broken_off(error: aiohttp.ClientError) -> bool:
    """Tell an answer that did not come to its end from one that is none."""
    return isinstance(error, aiohttp.ClientPayloadError) and not isinstance(
        error.__cause__,
        http_exceptions.TransferEncodingError | http_exceptions.ContentEncodingError,
    )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
