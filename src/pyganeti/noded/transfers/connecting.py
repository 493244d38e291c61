"""The connection between two transfers: TLS both ways, with the peer that was meant, to its end.

The import listens and takes the first peer that can show a certificate it trusts; who cannot is
turned away, and holds up nobody. The export connects, and tries again for a while.

The stream's end is part of the protocol: whoever has sent everything says so (TLS's close_notify),
and only then is what was received whole. A connection that breaks off, or that `break_off` ends,
tells the other side that it is not. Ours, as the receiver, answers that word only when all is on
disk; socat, which is Ganeti's, answers at once.
"""

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyganeti.base import errors, tls
from pyganeti.noded.transfers import jobs

_HANDSHAKE: Final = 10.0
_WAITING: Final = 16
"""Peers that may be in the middle of a handshake at once."""

_RETRY: Final = 1.0
_IDLE, _PROBE, _PROBES = 60, 10, 5
"""Seconds of silence until the peer's machine is probed, between probes, and how many may fail."""

_FAMILIES: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_HERE: Final = {"ipv4": "127.0.0.1", "ipv6": "::1"}
_EVERYWHERE: Final = {"ipv4": "0.0.0.0", "ipv6": "::"}  # noqa: S104 - the other node may come from any network
_RESET: Final = struct.pack("ii", 1, 0)


class Connection:
    """One established connection, used by one thread at a time."""

    def __init__(self, secured: ssl.SSLSocket) -> None:
        self._socket = secured
        self._is_over = False
        self._poll = select.poll()
        self._poll.register(secured, select.POLLIN)
        secured.settimeout(None)
        for option, value in (
            (socket.TCP_KEEPIDLE, _IDLE),
            (socket.TCP_KEEPINTVL, _PROBE),
            (socket.TCP_KEEPCNT, _PROBES),
            (socket.TCP_USER_TIMEOUT, (_IDLE + _PROBE * _PROBES) * 1000),
        ):
            secured.setsockopt(socket.IPPROTO_TCP, option, value)
        secured.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def read_into(self, buffer: memoryview) -> int:
        """Return how many bytes were there, 0 when the peer has said that it was all.

        Raises Interrupted if the connection ends without that word.
        """
        # A record at a time is what TLS gives, and too little to write each by itself.
        filled = 0
        try:
            while not self._is_over and filled < len(buffer):
                count = self._socket.recv_into(buffer[filled:])
                self._is_over = count == 0
                filled += count
                if not self._socket.pending() and not self._poll.poll(0):
                    break
            return filled
        except ssl.SSLEOFError as error:
            raise errors.Interrupted("the sender broke off: the data is not whole") from error
        except OSError as error:
            raise errors.Interrupted(f"the connection broke: {_words(error)}") from error

    def write(self, data: memoryview) -> None:
        """Send all of it; raises Interrupted if the connection breaks."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise errors.Interrupted(f"the receiver broke off: {_words(error)}") from error

    def finish(self) -> None:
        """Say that this was all, or that all has arrived, and wait for the peer's word.

        Raises Interrupted if the peer breaks off instead: what it got is then not safe.
        """
        try:
            plain = self._socket.unwrap()
        except ssl.SSLEOFError:  # it closed without a word; ours was sent before
            self._socket.close()
        except OSError as error:
            if error.errno:
                raise errors.Interrupted(
                    f"the receiver broke off after all was sent: {_words(error)}"
                ) from error
            self._socket.close()  # an old way to say that there was no word
        else:
            plain.close()

    def break_off(self) -> None:
        """End the connection so that nobody can take it for a stream's end. Never raises."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        with contextlib.suppress(OSError):
            self._socket.close()


class Listener:
    """An import's door, open until `accept` has returned or `close` is called."""

    def __init__(self, job: jobs.Job) -> None:
        self._context = tls.server_context(
            Path(job.certificate), Path(job.key), Path(job.authority)
        )
        self._socket = socket.socket(_FAMILIES[job.family], socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(((_HERE if job.is_alone else _EVERYWHERE)[job.family], 0))
            self._socket.listen(_WAITING)
        except OSError as error:
            self._socket.close()
            raise errors.Unavailable(f"cannot listen: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._trusted: deque[ssl.SSLSocket] = deque()
        self._handshakes = 0
        self._closed = False
        self._lock = threading.Lock()

    def accept(self, patience: float, say: Callable[[str], None]) -> Connection:
        """Return the connection to the first peer that can be trusted; raises Interrupted."""
        deadline = time.monotonic() + patience
        try:
            while True:
                with self._lock:
                    if self._trusted:
                        return Connection(self._trusted.popleft())
                left = deadline - time.monotonic()
                if left <= 0:
                    raise errors.Interrupted(f"no peer connected within {patience:.0f} s")
                # While all hands are being shaken, who comes waits with the kernel.
                awaited = [self._wake]
                if self._handshakes < _WAITING:
                    awaited.append(self._socket.fileno())
                ready, _, _ = select.select(awaited, [], [], left)
                if self._wake in ready:
                    os.read(self._wake, 64)
                if self._socket.fileno() in ready:
                    self._take(say)
        finally:
            self.close()

    def close(self) -> None:
        """Let nobody in any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._socket.close()
            os.close(self._wake)
            os.close(self._woken)
            while self._trusted:
                self._trusted.pop().close()

    def _take(self, say: Callable[[str], None]) -> None:
        try:
            peer, address = self._socket.accept()
        except OSError as error:  # it left again, or there are no descriptors
            say(f"a peer could not be let in: {error.strerror}")
            time.sleep(0.1)
            return
        with self._lock:
            self._handshakes += 1
        threading.Thread(
            target=self._shake_hands, args=(peer, address[0], say), daemon=True
        ).start()

    def _shake_hands(self, peer: socket.socket, address: str, say: Callable[[str], None]) -> None:
        try:
            peer.settimeout(_HANDSHAKE)
            secured = self._context.wrap_socket(peer, server_side=True, suppress_ragged_eofs=False)
        except (OSError, ValueError) as error:
            say(f"{address} was turned away: {_words(error)}")
            peer.close()
            secured = None
        with self._lock:
            self._handshakes -= 1
            if self._closed:
                if secured is not None:
                    secured.close()
                return
            if secured is not None:
                self._trusted.append(secured)
            os.write(self._woken, b"!")


def connect(job: jobs.Job, say: Callable[[str], None]) -> Connection:
    """Return the connection to an import; tries for a while.

    Raises Denied if whoever answers cannot be trusted, Unavailable if there is no connection.
    """
    context = tls.client_context(Path(job.certificate), Path(job.key), Path(job.authority))
    why = ""
    for attempt in range(jobs.ATTEMPTS):
        if attempt:
            time.sleep(_RETRY)
        try:
            return _connect_once(context, job)
        except ssl.SSLCertVerificationError as error:
            raise errors.Denied(
                f"{job.host}:{job.port} cannot be trusted: {error.verify_message}"
            ) from error
        except OSError as error:
            why = _words(error)
            say(f"no connection to {job.host}:{job.port} yet: {why}")
    raise errors.Unavailable(
        f"no connection to {job.host}:{job.port} after {jobs.ATTEMPTS} attempts: {why}"
    )


def _connect_once(context: ssl.SSLContext, job: jobs.Job) -> Connection:
    family, kind, protocol, _, address = socket.getaddrinfo(
        job.host, job.port, _FAMILIES[job.family], socket.SOCK_STREAM
    )[0]
    plain = socket.socket(family, kind, protocol)
    try:
        plain.settimeout(jobs.ATTEMPT_PATIENCE)
        plain.connect(address)
        return Connection(context.wrap_socket(plain, suppress_ragged_eofs=False))
    except BaseException:
        plain.close()
        raise


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    if isinstance(error, TimeoutError):
        return "it took too long"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
