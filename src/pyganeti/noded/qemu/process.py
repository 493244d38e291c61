"""A qemu as a process: found by its pid file, started as a daemon, waited for, killed.

Alive means what it means to Ganeti: the pid file names a process whose ``-name`` is the
instance's. A pid is only ever signalled through a pidfd that was opened before that was checked,
so no other process can be hit. A qemu that does not start leaves its own words in the error.
"""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, pidfd, processes, runner
from pyganeti.noded.qemu import places, words

START_LIMIT = 120.0
"""Seconds; memory that is allocated beforehand takes long."""

_ENDING: Final = 5.0
"""Seconds in which a qemu that was killed has ended."""

_LONGEST: Final = 64
_LONGEST_WORDS: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Running:
    """A qemu that runs. ``memory`` in MiB and ``vcpus`` are those it was started with."""

    name: str
    pid: int
    memory: int
    vcpus: int
    line: tuple[str, ...]


def find(where: places.Places, name: str) -> Running | None:
    """Return an instance's qemu, None if none runs. Reads three small files."""
    pid = _written(where, name)
    return None if pid is None else look(pid, name)


def _written(where: places.Places, name: str) -> int | None:
    """Return the pid in an instance's pid file, whoever has it."""
    try:
        fd = os.open(where.pid_file(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            number = os.read(fd, _LONGEST).split()
        finally:
            os.close(fd)
    except OSError:
        return None
    return int(number[0]) if number and number[0].isdigit() else None


def look(pid: int, name: str) -> Running | None:
    """Return what runs under a pid if it is the qemu of that instance."""
    found = processes.command_line(pid)
    if b"-name" not in found:
        return None
    line = [os.fsdecode(word) for word in found]
    given = dict(itertools.pairwise(line))
    # Newer Ganeti's has options behind the name.
    if given.get("-name", "").partition(",")[0] != name:
        return None
    return Running(
        name=name,
        pid=pid,
        memory=_number(given.get("-m", "")),
        vcpus=_number(given.get("-smp", "").partition(",")[0]),
        line=tuple(line),
    )


def strays(where: places.Places, name: str) -> list[Running]:
    """Return an instance's qemus that its pid file does not lead to. Looks at every process.

    There are such when a start was cut off before qemu wrote the file, or when it was removed.
    """
    ours = find(where, name)
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (ours is None or int(entry.name) != ours.pid):
            one = look(int(entry.name), name)
            if one is not None and str(where.pid_file(name)) in one.line:
                found.append(one)
    return found


def names(where: places.Places) -> list[str]:
    """Return the instances whose qemus run."""
    try:
        found = sorted(entry.name for entry in where.pids.iterdir())
    except FileNotFoundError:
        return []
    return [name for name in found if find(where, name) is not None]


def logged(where: places.Places, name: str) -> int:
    """Return how many bytes an instance's qemus have logged so far. Blocks shortly."""
    try:
        return where.log(name).stat().st_size
    except OSError:
        return 0


async def start(
    where: places.Places, name: str, line: Sequence[str], descriptors: Sequence[int], before: int
) -> Running:
    """Start a qemu that makes itself a daemon; its guest does not run yet.

    ``before`` is what was `logged` of earlier ones. Raises Failure with qemu's own words; then none
    is left.
    """
    try:
        ended = await runner.run(
            line,
            environment=words.ENVIRONMENT,
            timeout=START_LIMIT,
            descriptors=descriptors,
            apart=True,
        )
    except BaseException as error:
        await _none_left(where, name)
        if isinstance(error, OSError):
            raise errors.Unavailable(f"{line[0]} cannot be run: {error.strerror}") from error
        raise
    running = find(where, name)
    if ended.status == 0 and running is not None:
        return running
    await _none_left(where, name)
    # Told to log into a file, qemu says there what it would have said here.
    said = words.last(ended.output + await asyncio.to_thread(_since, where.log(name), before))
    if ended.timed_out:
        raise errors.Failure(f"qemu did not start within {START_LIMIT:g} s: {said}")
    how = "ended at once" if ended.status == 0 else f"did not start ({words.status(ended.status)})"
    raise errors.Failure(f"qemu {how}: {said}")


@contextlib.contextmanager
def held(running: Running) -> Iterator["Hold | None"]:
    """Hold on to a qemu, so that its end is noticed and nothing else is signalled.

    None if it has ended already. One that is about to end has lost its command line but not its
    tap: it is held, and can be waited for.
    """
    fd = pidfd.open(running.pid)
    try:
        if fd is None or not (
            look(running.pid, running.name) is not None or processes.is_ending(running.pid)
        ):
            yield None
        else:
            yield Hold(fd, running)
    finally:
        if fd is not None:
            os.close(fd)


class Hold:
    """A qemu held on to; made by `held`."""

    def __init__(self, fd: int, running: Running) -> None:
        self._fd = fd
        self.running = running

    async def ended(self, within: float) -> bool:
        """Wait for its end; return whether it came in so many seconds."""
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()
        loop.add_reader(self._fd, seen.set)
        try:
            async with asyncio.timeout(within):
                await seen.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._fd)
        return True

    def kill(self) -> None:
        """Send SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)


async def _none_left(where: places.Places, name: str) -> None:
    """Kill a qemu that became a daemon although its start failed.

    One that is ending has no command line any more, and still has its taps: it is waited for.
    """
    running, pid = find(where, name), _written(where, name)
    if running is None and (pid is None or not processes.is_ending(pid)):
        return
    with held(running or Running(name, pid or 0, 0, 0, ())) as hold:
        if hold is not None:
            if running is not None:
                hold.kill()
            await hold.ended(_ENDING)


def _since(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            # Qemu may have begun the file anew.
            file.seek(position if path.stat().st_size >= position else 0)
            return file.read(_LONGEST_WORDS)
    except OSError:
        return b""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def prepare(where: places.Places) -> None:
    """Make the directories that instances need; raises OSError."""
    for directory in where.directories:
        files.make_directories(directory, 0o755)
