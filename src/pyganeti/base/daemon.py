"""Becoming a daemon, saying how that went, and hearing signals afterwards.

`detach` comes first: before any thread, any loop, any lock, for a fork takes none of them along.
The command that the operator typed waits for the daemon's own word: it ends with 0 only after
`Startup.ready`, else with the daemon's message on standard error. Until then the daemon keeps
standard error, so that even an uncaught exception is seen. If the daemon dies without a word, kill
-9 included, or takes too long, the command says that.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from pyganeti.base import errors

if TYPE_CHECKING:
    import asyncio

Act: TypeAlias = Callable[[], object]

_PATIENCE: Final = 90.0
"""Seconds in which a daemon has to be ready: what systemd, too, gives a service."""

_UMASK: Final = 0o027
_LONGEST: Final = 4000
"""Bytes of a message: below PIPE_BUF, so that sending it never blocks and never comes in parts."""

_PID: Final = b"pid "
_READY: Final = b"ready"
_FAILED: Final = b"failed "


class Startup:
    """What the daemon has to say to whoever waits for its start; in the foreground, nobody."""

    def __init__(self, pipe: int | None = None) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        """Have the waiting command end with 0, and let go of standard error."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.dup2(0, 2)  # /dev/null; needs no further descriptor
            self._say(_READY)

    def failed(self, message: str, code: int = 1) -> None:
        """Have the waiting command print the message and end with ``code``, 1 to 255."""
        self._say(_FAILED + b"%d " % code + message.encode(errors="backslashreplace"))

    def _say(self, verdict: bytes) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            with contextlib.suppress(OSError):  # nobody waits any more
                os.write(pipe, verdict[:_LONGEST])
            os.close(pipe)


def detach(patience: float = _PATIENCE) -> Startup:
    """Go on as a daemon; return in the daemon only.

    The daemon has its own session, umask 027, "/" as its directory, /dev/null for standard input
    and output, and a clean signal mask; SIGHUP is ignored until `signals` is called. The calling
    process waits at most ``patience`` seconds for the returned object's verdict and ends with it.

    Raises Exhausted, in the calling process, if there cannot be another one.
    """
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - a number, no paths
        raise RuntimeError("detach() has to come before the first thread")
    _fill_standard_descriptors()
    try:
        heard, said = os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise errors.Exhausted(f"cannot detach: {error}") from error
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # or both processes would write what is buffered
    try:
        child = os.fork()
    except OSError as error:
        os.close(heard)
        os.close(said)
        raise errors.Exhausted(f"cannot detach: {error}") from error
    if child:
        os.close(said)
        _wait_for_verdict(heard, child, patience)
    os.close(heard)
    started = Startup(said)
    try:
        os.setsid()
        if os.fork():
            os._exit(0)  # so that the daemon leads no session, and never gets a terminal
        os.write(said, _PID + b"%d\n" % os.getpid())
        os.chdir("/")
        _attach_to_null(0, 1)
    except OSError as error:
        started.failed(f"cannot detach: {error}")
        os._exit(1)
    os.umask(_UMASK)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the log was opened just now
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return started


def signals(loop: "asyncio.AbstractEventLoop", *, on_stop: Act, on_reload: Act) -> None:
    """Have the loop call ``on_stop`` on SIGTERM and SIGINT, ``on_reload`` on SIGHUP.

    Each signal calls again; ``on_stop`` has to bear that.
    """
    loop.add_signal_handler(signal.SIGTERM, on_stop)
    loop.add_signal_handler(signal.SIGINT, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_reload)


def _wait_for_verdict(pipe: int, child: int, patience: float) -> NoReturn:
    """End this process as the daemon's word says."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a tired operator sees no traceback
    with contextlib.suppress(ChildProcessError):  # whoever started us had SIGCHLD ignored
        os.waitpid(child, 0)
    said, is_over = _hear(pipe, patience)
    pid = b"unknown"
    if said.startswith(_PID):
        pid, _, said = said.removeprefix(_PID).partition(b"\n")
    if said == _READY:
        os._exit(0)
    code = b"1"
    if said.startswith(_FAILED):
        code, _, message = said.removeprefix(_FAILED).partition(b" ")
    elif is_over:
        message = b"the daemon (pid %b) ended before it was ready" % pid
    else:
        message = b"the daemon (pid %b) is not ready after %d s; it goes on" % (pid, patience)
    with contextlib.suppress(OSError):
        os.write(2, message + b"\n")
    os._exit(int(code))


def _hear(pipe: int, patience: float) -> tuple[bytes, bool]:
    """Return all that is said before the deadline, and whether there will be no more."""
    ends = time.monotonic() + patience
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    said = b""
    while (left := ends - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            piece = os.read(pipe, _LONGEST)
            if not piece:
                return said, True
            said += piece
    return said, False


def _fill_standard_descriptors() -> None:
    """Open /dev/null where a descriptor below 3 is closed, or a pipe of ours would end up there."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:  # noqa: PLR2004 - standard error
            os.close(fd)
            return
        os.set_inheritable(fd, True)  # noqa: FBT003 - no keyword there


def _attach_to_null(*fds: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in fds:
        os.dup2(null, fd)
    os.close(null)
