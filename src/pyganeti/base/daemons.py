"""The node's other daemons: whether they run, starting them, stopping them.

Ours hold a lock on their pid file for as long as they live; Ganeti's lock it in another way, and
are known by the number in it and their command's name. Nobody else is ever signalled.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import dirlock, errors, log, paths, processes, runner

_LOG = log.get(__name__)
_PATIENCE: Final = 30.0
_START_PATIENCE: Final = 60.0
_LOOK: Final = 0.02
_COMMAND_NAME: Final = 15
"""Bytes of a command's name that the kernel keeps."""

_PASSED_ON: Final = frozenset({"PATH", "LANG", "LC_ALL", "GANETI_ROOTDIR", "GANETI_HOSTNAME"})
"""What other daemons get of our environment."""


def running(layout: paths.Paths, daemon: str) -> int | None:
    """Return the pid of a daemon, by its command's name; None if it does not run."""
    try:
        fd = os.open(layout.pid_file(daemon), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        holder = dirlock.holder(fd)
        if holder is not None:
            return holder
        words = os.pread(fd, 32, 0).split()
    finally:
        os.close(fd)
    if not words or not words[0].isdigit():
        return None
    pid = int(words[0])
    is_dead = processes.state(pid) == "Z"  # and nobody has taken note of it
    return pid if dirlock.command_name(pid) == daemon[:_COMMAND_NAME] and not is_dead else None


async def stop(layout: paths.Paths, daemon: str, patience: float = _PATIENCE) -> bool:
    """Have a daemon end; return whether it does not run (any more)."""
    pid = running(layout, daemon)
    if pid is None:
        return True
    begun = processes.start_ticks(pid)
    _LOG.info("stopping a daemon", daemon=daemon, pid=pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)  # one that stands still hears of it only when it goes on
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while processes.start_ticks(pid) == begun and processes.state(pid) != "Z":  # noqa: ASYNC110 - another's child wakes nobody
                await asyncio.sleep(_LOOK)
            return True
    _LOG.error("a daemon does not end", daemon=daemon, pid=pid)
    return False


async def start(layout: paths.Paths, daemon: str) -> bool:
    """Start a daemon of ours unless it runs; return whether it runs.

    One that finds it is not needed here ends at once, which is no error, but is not running.
    """
    if running(layout, daemon) is not None:
        return True
    ended = await launch(daemon)
    if ended.status != 0:
        _LOG.error("a daemon did not start", daemon=daemon, status=ended.status, said=words(ended))
    return running(layout, daemon) is not None


async def launch(
    daemon: str, arguments: Sequence[str] = (), patience: float = _START_PATIENCE
) -> runner.Finished:
    """Run the command of a daemon that detaches by itself, and return how that ended.

    Raises Unavailable if it is not installed.
    """
    command = installed(daemon)
    if command is None:
        raise errors.Unavailable(f"{daemon} is not installed")
    try:
        return await runner.run([command, *arguments], environment=environment(), timeout=patience)
    except OSError as error:
        raise errors.Unavailable(f"{command} cannot be started: {error.strerror}") from error


def environment() -> dict[str, str]:
    """Return what of our own environment daemons are to have."""
    return {key: value for key, value in os.environ.items() if key in _PASSED_ON}


def words(ended: runner.Finished) -> str:
    """Say how a command ended that did not start its daemon."""
    said = ended.output.decode(errors="replace").strip()
    if ended.timed_out:
        return f"it was not ready after {ended.seconds:.0f} s; {said}".rstrip("; ")
    return said or f"exit status {ended.status}"


def installed(daemon: str) -> str | None:
    """Return a daemon's command: beside our own, else where commands are; None if there is none."""
    beside = Path(sys.argv[0]).with_name(daemon)
    if os.access(beside, os.X_OK):
        return str(beside)
    return shutil.which(daemon)
