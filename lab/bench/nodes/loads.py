"""Whoever calls a node daemon, as cheap as can be: what is measured is the daemon.

A kept connection is a TLS socket with a request written once and for all; twenty of them are served
by one thread, which sends on whichever has been answered. New connections are made by as many
threads as there are at once, as by Ganeti's own clients, which make one for each call.
"""

import contextlib
import itertools
import re
import selectors
import socket
import statistics
import time
from concurrent import futures
from dataclasses import dataclass
from typing import Final

from lab.cluster import calls
from pyganeti.wire import noderpc

_LENGTH: Final = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_OK: Final = b"HTTP/1.1 200"
_SPLIT: Final = b"\r\n\r\n"


class Wrong(Exception):
    """The daemon did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Load:
    """Who calls, whom, and for what."""

    caller: calls.Caller
    address: str
    name: str = "version"
    arguments: tuple[object, ...] = ()

    def kept(self, times: int) -> list[float]:
        """Return the seconds of each of so many calls on one connection."""
        found = []
        with self.caller.connection(self.address) as connection:
            for _ in range(times):
                began = time.perf_counter()
                _exchange(connection.sock, self._request())
                found.append(time.perf_counter() - began)
        return found

    def new(self, times: int) -> list[float]:
        """Return the seconds of each of so many calls, connecting included."""
        found, request = [], self._request()
        for _ in range(times):
            began = time.perf_counter()
            with self.caller.connection(self.address) as connection:
                _exchange(connection.sock, request)
            found.append(time.perf_counter() - began)
        return found

    def kept_at_once(self, clients: int, times: int) -> float:
        """Return the mean seconds between answers when so many clients ask on kept connections."""
        request = self._request()
        with contextlib.ExitStack() as made, selectors.DefaultSelector() as waiting:
            for _ in range(clients):
                line = made.enter_context(self.caller.connection(self.address)).sock
                waiting.register(line, selectors.EVENT_READ)
            lines = [_socket(key.fileobj) for key in waiting.get_map().values()]
            began = time.perf_counter()
            for line in lines:
                line.sendall(request)
            left, sent = times, clients
            while left:
                for key, _ in waiting.select():
                    line = _socket(key.fileobj)
                    _take(line)
                    left -= 1
                    if sent < times:
                        line.sendall(request)
                        sent += 1
            return (time.perf_counter() - began) / times

    def new_at_once(self, clients: int, times: int) -> float:
        """Return the same when each call has a connection of its own."""
        with futures.ThreadPoolExecutor(clients) as pool:
            began = time.perf_counter()
            list(pool.map(self.new, itertools.repeat(times // clients, clients)))
            return (time.perf_counter() - began) / (times // clients * clients)

    def _request(self) -> bytes:
        body = noderpc.encode_arguments(self.arguments)
        head = f"POST /{self.name} HTTP/1.1\r\nHost: {self.address}\r\nContent-Length: {len(body)}"
        return f"{head}\r\n\r\n".encode() + body


def median(seconds: list[float]) -> float:
    """Return the median, in milliseconds."""
    return statistics.median(seconds) * 1000


def mean(seconds: list[float]) -> float:
    """Return the mean, in milliseconds."""
    return statistics.fmean(seconds) * 1000


def _socket(thing: object) -> socket.socket:
    if not isinstance(thing, socket.socket):
        raise TypeError(thing)
    return thing


def _exchange(line: socket.socket, request: bytes) -> None:
    line.sendall(request)
    _take(line)


def _take(line: socket.socket) -> None:
    """Read one answer; raises `Wrong` unless it is a success."""
    heard = b""
    while _SPLIT not in heard:
        heard += _some(line)
    head, _, body = heard.partition(_SPLIT)
    length = _LENGTH.search(head)
    if length is None or not head.startswith(_OK):
        raise Wrong(head[:200])
    while len(body) < int(length[1]):
        body += _some(line)
    if not body.lstrip().startswith(b"[true"):
        raise Wrong(body[:200])


def _some(line: socket.socket) -> bytes:
    piece = line.recv(1 << 20)
    if not piece:
        raise Wrong("the daemon hung up")
    return piece
