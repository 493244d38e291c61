"""Becoming a daemon, and being told what to do by signals.

`detach` must be called before any thread or loop exists. The command that was typed returns only
when the daemon is ready, or prints why it is not: a pipe from the one to the other carries the
word, and its end without a word means that the daemon died.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable

Act = Callable[[], object]

_READY = b"\0"


class Startup:
    """The daemon's line to whoever started it; in the foreground there is nobody to tell."""

    def __init__(self, pipe: int | None = None) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        """Let the command that was typed return with success."""
        self._send(_READY)

    def failed(self, message: str) -> None:
        """Have the command that was typed print a message and return with failure."""
        if self._pipe is None:
            return
        self._send(message.encode(errors="backslashreplace"))

    def _send(self, word: bytes) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        with contextlib.suppress(OSError):
            os.write(pipe, word)
        os.close(pipe)


def detach() -> Startup:
    """Go on as a daemon; the calling process waits for its word and exits with 0 or 1."""
    receiving, sending = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(sending)
        os._exit(_wait_for_word(receiving, child))
    os.close(receiving)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.umask(0o027)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    if nothing > 2:  # noqa: PLR2004
        os.close(nothing)
    return Startup(sending)


def _wait_for_word(receiving: int, child: int) -> int:
    """Return the exit code for the command that was typed."""
    os.waitpid(child, 0)
    word = bytearray()
    while part := os.read(receiving, 65536):
        word += part
    if word == _READY:
        return 0
    text = word.decode(errors="replace") or "it ended without a word; its log may say why"
    os.write(2, f"not started: {text}\n".encode(errors="backslashreplace"))
    return 1


def signals(loop: asyncio.AbstractEventLoop, *, on_stop: Act, on_reload: Act) -> None:
    """Have SIGTERM and SIGINT end, and SIGHUP reload."""
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_reload)
