"""Takes connections in, no more at a time than allowed; further ones wait in the kernel's queue.

A connection counts from its first packet to its end, so whoever connects and says nothing, not even
TLS, holds a place for as long as a handshake may take. What goes wrong with one connection is said
once and is nobody else's trouble; when descriptors have run out, accepting pauses.
"""

import asyncio
import contextlib
import select
import socket
import ssl
from asyncio import sslproto
from collections.abc import Callable
from typing import Final

from pyganeti.base import errors, log

_LOG = log.get(__name__)
_BACKLOG: Final = 1024
_SHUTDOWN: Final = 1.0
_TLS_BUFFER: Final = 32 * 1024
"""Bytes that asyncio sets aside for what comes in on each TLS connection. It means 256 KiB, which
twenty connections make five megabytes of locked memory of; two TLS records are plenty for calls."""

_PAUSE: Final = 0.2
"""Seconds until the next try when the kernel would not give us a connection."""


def open_socket(address: str, port: int) -> socket.socket:
    """Return a socket that listens; raises Unavailable if it cannot be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)  # noqa: FBT003 - no keyword there
    except (OSError, OverflowError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise errors.Unavailable(f"cannot listen on {address} port {port}: {why}") from error
    return listening


class Listener:
    """Accepts from one socket, from `start` to `close`.

    ``made`` makes a new connection's protocol; whoever made it calls `release` when that connection
    is lost. ``secured`` returns the TLS context of the moment, None for none.
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        made: Callable[[], asyncio.Protocol],
        secured: Callable[[], ssl.SSLContext | None],
        limit: int,
        patience: float,
    ) -> None:
        self._socket = listening
        self._made = made
        self._secured = secured
        self._places = asyncio.Semaphore(limit)
        self._patience = patience
        self._accepting: asyncio.Task[None] | None = None
        self._establishing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to accept."""
        sslproto.SSLProtocol.max_size = _TLS_BUFFER
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Accept no more, and let go of connections that were not established yet."""
        tasks = [*self._establishing, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    def release(self) -> None:
        """Note that an established connection is over."""
        self._places.release()

    def others_wait(self) -> bool:
        """Say whether there is a connection that has no place."""
        if not self._places.locked():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        failing = False
        while True:
            await self._places.acquire()
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except OSError as error:
                self._places.release()
                if not failing:
                    _LOG.error("no connection can be accepted", why=str(error))
                failing = True
                await asyncio.sleep(_PAUSE)
                continue
            except asyncio.CancelledError:
                self._places.release()
                raise
            failing = False
            task = asyncio.create_task(self._establish(accepted, str(address[0])))
            self._establishing.add(task)
            task.add_done_callback(self._establishing.discard)

    async def _establish(self, accepted: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            context = self._secured()
            await loop.connect_accepted_socket(
                self._made,
                accepted,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self._patience,
                ssl_shutdown_timeout=None if context is None else _SHUTDOWN,
            )
        except (ConnectionError, TimeoutError) as error:
            # Somebody looked whether the port is open, or says nothing.
            self._give_up(accepted)
            _LOG.info("a connection came to nothing", address=address, why=_words(error))
        except (OSError, errors.Failure) as error:
            self._give_up(accepted)
            _LOG.warning("a connection was refused", address=address, why=_words(error))
        except asyncio.CancelledError:
            self._give_up(accepted)
            raise

    def _give_up(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            accepted.close()
        self._places.release()


def _words(error: Exception) -> str:
    """Say what is wrong with a connection, in the TLS library's own words where it has some."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error) or type(error).__name__
