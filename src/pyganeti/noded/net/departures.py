"""Hears from the kernel that taps have gone, whoever ended who held them.

A socket of its own, not `netlink`'s, and read as bytes: whole networks come and go on some hosts
(containers), and only names that taps have are worth a thought. Nothing is asked and nothing is
kept: a departure says that it is time to look.

Failure: messages that the kernel dropped because nobody read them in time count as a departure.
"""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final

from pyganeti.noded.net import taps

_GROUP_LINK: Final = 1  # <linux/rtnetlink.h> RTMGRP_LINK
_DELETED: Final = 17  # RTM_DELLINK
_NAME: Final = 3  # IFLA_IFNAME
_HEADER: Final = struct.Struct("=IHHII")
_INTERFACE: Final = 16
"""Bytes of a struct ifinfomsg, which follows the header."""

_ATTRIBUTE: Final = struct.Struct("=HH")
_READ: Final = 64 * 1024
_MOST_READS: Final = 64


class Departures:
    """Calls back when taps have gone; from `open` to `close`."""

    def __init__(self, gone: Callable[[], object]) -> None:
        self._gone = gone
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Begin to listen; raises OSError where the kernel does not let us."""
        heard = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE,
        )
        try:
            heard.bind((0, _GROUP_LINK))
            asyncio.get_running_loop().add_reader(heard, self._take)
        except BaseException:
            heard.close()
            raise
        self._socket = heard

    def close(self) -> None:
        """Listen no longer."""
        heard, self._socket = self._socket, None
        if heard is not None:
            asyncio.get_running_loop().remove_reader(heard)
            heard.close()

    def _take(self) -> None:
        if self._socket is None:
            return
        is_news = False
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_READS):
                try:
                    message = self._socket.recv(_READ)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    is_news = True
                else:
                    is_news = is_news or any(map(taps.is_name, departed(message)))
        if is_news:
            self._gone()


def departed(message: bytes) -> Iterator[str]:
    """Yield the names of the interfaces that a message from the kernel says have gone."""
    while len(message) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(message)
        if length < _HEADER.size:
            return
        if kind == _DELETED:
            yield from _named(message[_HEADER.size + _INTERFACE : length])
        message = message[_aligned(length) :]


def _named(attributes: bytes) -> Iterator[str]:
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if length < _ATTRIBUTE.size:
            return
        if kind == _NAME:
            yield attributes[_ATTRIBUTE.size : length].rstrip(b"\0").decode(errors="replace")
        attributes = attributes[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
