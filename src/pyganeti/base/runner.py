"""Runs other programs within bounds: of time, of output, and of what they leave behind.

A program gets its own session. When its time is up, or when it has ended and nobody holds its
output any more, whatever is left of its process group is killed; only what made a session of its
own deliberately stays. The group is signalled before its first process is reaped, while its number
cannot be anybody else's. No thread and no SIGCHLD handler is taken: the end shows on a pidfd.

A program that cannot be started raises what the kernel says about it (OSError), or
`errors.Exhausted` when descriptors, processes or memory have run out. Cancelling `run` kills the
program. One that even SIGKILL does not end (it hangs in the kernel) is left to itself and reaped
when it does end.

Starting a program holds the loop: 0.2 ms, and 2 ms in a process with 20,000 descriptors, whose
table the kernel copies (measured on Linux 6.18); tens of milliseconds where processors are short.
Whoever cannot afford that has it started ``apart``, from a thread.
"""

import asyncio
import contextlib
import dataclasses
import errno
import functools
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from pyganeti.base import errors, spawning

OUTPUT_LIMIT: Final = 64 * 1024

_CHUNK: Final = 64 * 1024
_CRAWL: Final = 0.05
"""Seconds between reads of output that is thrown away: who floods us has to wait for us."""

_KILL_GRACE: Final = 2.0
_LOOK: Final = 0.02
_REAP_PAUSES: Final = (0.1, 60.0)
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


@dataclasses.dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended.

    ``status`` is its exit code, or the signal's number negated; None if it has not ended although
    it was killed. ``output`` is what it wrote to stdout and stderr, as far as the limit;
    ``truncated`` says that there was more. ``seconds`` is how long it took. ``complaints`` is what
    it wrote to stderr, as far as the same limit, where the two were kept apart.
    """

    status: int | None
    output: bytes
    truncated: bool
    timed_out: bool
    seconds: float
    complaints: bytes = b""


async def run(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    environment: Mapping[str, str],
    timeout: float,
    stdin: bytes = b"",
    output_limit: int = OUTPUT_LIMIT,
    directory: str = "/",
    separate: bool = False,
    log: int | None = None,
    descriptors: Sequence[int] = (),
    apart: bool = False,
) -> Finished:
    """Run a program to its end, in ``timeout`` seconds at most, in that environment alone.

    ``stdin`` is there as a file that the program may read or not. stdout and stderr come together,
    unless they are to be ``separate``; or both go to the open file ``log``, and nothing is kept.
    ``descriptors`` are handed down under their numbers, the caller keeps his. With ``apart`` a
    thread starts it.
    """
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    start = functools.partial(
        _start,
        arguments,
        environment,
        stdin,
        directory,
        pipes=0 if log is not None else 2 if separate else 1,
        log=log,
        descriptors=descriptors,
    )
    child, reading = await _started_apart(loop, start) if apart else start()
    outputs: list[_Output] = []
    try:
        for fd in reading:
            outputs.append(_Output(loop, fd, output_limit))  # noqa: PERF401 - to close on failure
    except OSError as error:
        for output in outputs:
            output.close()
        _forget(loop, child, reading[len(outputs) :])
        raise errors.Exhausted(f"a program's output cannot be read: {error}") from error
    timed_out = False
    try:
        async with asyncio.timeout(timeout):
            await _ended(loop, child.pid)
            for output in outputs:
                await output.closed.wait()
    except TimeoutError:
        timed_out = True
    finally:
        _kill_group(child.pid)
        for output in outputs:
            output.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILL_GRACE):
                    await _ended(loop, child.pid)
        finally:
            _reap(loop, child, _REAP_PAUSES[0])
    return Finished(
        status=child.status,
        output=bytes(outputs[0].kept) if outputs else b"",
        truncated=any(output.truncated for output in outputs),
        timed_out=timed_out,
        seconds=time.monotonic() - began,
        complaints=bytes(outputs[1].kept) if separate and outputs else b"",
    )


class _Child:
    """A program that was started; ``status`` is None until it has been reaped."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None

    def reap(self) -> bool:
        """Reap it if it has ended; return whether it has."""
        if self.status is None:
            self.status = spawning.status(self.pid)
        return self.status is not None


_Started: TypeAlias = tuple[_Child, list[int]]
"""A program, and the reading ends of its outputs."""


class _Output:
    """Reads a pipe, keeps its beginning, and throws the rest away at a crawl."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, limit: int) -> None:
        self._loop = loop
        self._fd = fd
        self._limit = limit
        self._timer: asyncio.TimerHandle | None = None
        self.kept = bytearray()
        self.truncated = False
        self.closed = asyncio.Event()
        loop.add_reader(fd, self._on_readable)

    def close(self) -> None:
        """Take what is there already, and read no more."""
        if self.closed.is_set():
            return
        self._read()
        self._close()

    def _on_readable(self) -> None:
        if not self._read():
            self._close()
        elif self.truncated:
            self._loop.remove_reader(self._fd)
            self._timer = self._loop.call_later(
                _CRAWL, self._loop.add_reader, self._fd, self._on_readable
            )

    def _read(self) -> bool:
        """Read once; tell whether there may be more."""
        try:
            data = os.read(self._fd, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        room = self._limit - len(self.kept)
        self.kept += data[:room]
        self.truncated = self.truncated or len(data) > room
        return bool(data)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self.closed.set()


def _start(
    arguments: Sequence[str | os.PathLike[str]],
    environment: Mapping[str, str],
    stdin: bytes,
    directory: str,
    *,
    pipes: int,
    log: int | None,
    descriptors: Sequence[int],
) -> _Started:
    """Start the program; return it and the reading ends of its outputs."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        try:
            # A file in memory, where a pipe would have to be fed by somebody.
            source = os.memfd_create("stdin", os.MFD_CLOEXEC)
            theirs.callback(os.close, source)
            if os.write(source, stdin) != len(stdin):
                raise errors.Exhausted("no memory for a program's input")
            os.lseek(source, 0, os.SEEK_SET)
            reading: list[int] = []
            writing: list[int] = [] if log is None else [log]
            for _ in range(pipes):
                ends = os.pipe2(os.O_CLOEXEC)
                ours.callback(os.close, ends[0])
                theirs.callback(os.close, ends[1])
                os.set_blocking(ends[0], False)
                reading.append(ends[0])
                writing.append(ends[1])
            pid = spawning.spawn(
                arguments,
                environment=environment,
                directory=directory,
                streams=(source, writing[0], writing[-1]),
                descriptors=descriptors,
            )
        except OSError as error:
            if error.errno in _EXHAUSTED:
                raise errors.Exhausted(f"a program cannot be started: {error}") from error
            raise
        ours.pop_all()
    return _Child(pid), reading


async def _started_apart(
    loop: asyncio.AbstractEventLoop, start: Callable[[], _Started]
) -> _Started:
    """Start a program from a thread; what is started for somebody who has gone is ended."""
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The program's beginning is not long in coming, and nobody else would know of it.
        while not starting.done():
            with contextlib.suppress(asyncio.CancelledError, OSError, errors.Failure):
                await asyncio.shield(starting)
        if not starting.cancelled() and starting.exception() is None:
            _forget(loop, *starting.result())
        raise


def _forget(loop: asyncio.AbstractEventLoop, child: _Child, reading: Sequence[int]) -> None:
    """End a program that has only just been started."""
    for fd in reading:
        os.close(fd)
    _kill_group(child.pid)
    _reap(loop, child, _LOOK)


async def _ended(loop: asyncio.AbstractEventLoop, pid: int) -> None:
    """Return when a child has ended, without reaping it."""
    if _has_ended(pid):
        return
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # no descriptors left: look now and then
        while not _has_ended(pid):  # noqa: ASYNC110 - nothing is left that could wake us
            await asyncio.sleep(_LOOK)
        return
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _reap(loop: asyncio.AbstractEventLoop, child: _Child, pause: float) -> None:
    if not child.reap():
        loop.call_later(pause, _reap, loop, child, min(pause * 2, _REAP_PAUSES[1]))
