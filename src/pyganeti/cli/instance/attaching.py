"""A terminal attached to a socket: what is typed goes there, what comes from there is shown.

Control and ] leaves. The terminal is as it was before, however this ends.
"""

import contextlib
import os
import selectors
import socket
import termios
import tty
from collections.abc import Iterator
from typing import Final

from pyganeti.base import errors

ESCAPE: Final = b"\x1d"
_PIECE: Final = 65536
_LAST_WORDS: Final = 0.5
"""Seconds that the other side has to answer once there is no more input."""


def attach(path: str, *, source: int, target: int) -> None:
    """Relay between a socket and two descriptors until one side ends, or the escape is typed.

    Raises Unavailable if nobody listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(path)
        except OSError as error:
            raise errors.Unavailable(f"nobody answers at {path}: {error.strerror}") from error
        with _raw(source), contextlib.suppress(ConnectionError):
            _relay(line, source, target)


def _relay(line: socket.socket, source: int, target: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        waits_for_input = _register(selector, source)
        if not waits_for_input:
            line.sendall(_all_of(source))
        while ready := selector.select(None if waits_for_input else _LAST_WORDS):
            for key, _ in ready:
                if key.fileobj is line:
                    if not (said := line.recv(_PIECE)):
                        return
                    _write(target, said)
                    continue
                typed = os.read(source, _PIECE)
                before, escaped, _ = typed.partition(ESCAPE)
                line.sendall(before)
                if escaped:
                    return
                if not typed:
                    selector.unregister(source)
                    waits_for_input = False


def _register(selector: selectors.BaseSelector, source: int) -> bool:
    """Watch the input; return whether that can be: files cannot."""
    try:
        selector.register(source, selectors.EVENT_READ)
    except PermissionError:
        return False
    return True


def _all_of(source: int) -> bytes:
    pieces = []
    while piece := os.read(source, _PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


@contextlib.contextmanager
def _raw(source: int) -> Iterator[None]:
    """Have a terminal hand on every key as it is; others are left alone."""
    if not os.isatty(source):
        yield
        return
    before = termios.tcgetattr(source)
    tty.setraw(source)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
