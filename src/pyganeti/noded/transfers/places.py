"""Where transfers are known by their folders: ``import-export/NAME`` has status, pid and authority.

A transfer runs as long as its pid file is locked. What is left of one that nobody cleaned up goes
after a day.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Final

from pyganeti.base import descent, dirlock, errors, files, log, processes

_LOG: Final = log.get(__name__)
_MODE: Final = 0o750
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]*")
_LONGEST: Final = 200
_LINGER: Final = 5.0
_LOOK: Final = 0.02
_MARK: Final = "GANETI_TRANSFER"
_OLD: Final = 24 * 3600.0


def status_file(folder: Path) -> Path:
    """Return where a transfer says how it stands."""
    return folder / "status"


def pid_file(folder: Path) -> Path:
    """Return the file that a transfer holds locked."""
    return folder / "pid"


def authority_file(folder: Path) -> Path:
    """Return where the certificate is that the peer's must be signed by."""
    return folder / "ca"


def is_part(word: str) -> bool:
    """Tell whether a word may be a transfer's name, or a part of one."""
    return len(word) <= _LONGEST and _NAME.fullmatch(word) is not None


def folder_of(place: Path, name: str) -> Path:
    """Return a transfer's folder; raises BadInput for what is no name."""
    if not is_part(name):
        raise errors.BadInput(f"{name!r} is not the name of a transfer")
    return place / name


def stamp() -> str:
    """Return the time as it stands in names of files."""
    return time.strftime("%Y-%m-%d_%H_%M_%S")


def make(place: Path, prefix: str) -> Path:
    """Make a new transfer's folder, for its owner alone; raises OSError."""
    files.make_directories(place, _MODE)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-{stamp()}-", dir=place))


def running(folder: Path) -> int | None:
    """Return the pid of a transfer's process, None if it has ended."""
    try:
        fd = os.open(pid_file(folder), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return dirlock.holder(fd)
    finally:
        os.close(fd)


def abort(folder: Path) -> bool:
    """Ask a transfer to end; return whether there was one to ask."""
    pid = running(folder)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    return True


async def end(folder: Path) -> None:
    """Have a transfer's process be gone, asked first, killed then; and all that it has started.

    Raises Interrupted if it hangs in the kernel.
    """
    await _end_process(folder)
    # One that was killed could not do that itself.
    await descent.end(_MARK, lambda name: name == folder.name)


async def _end_process(folder: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = running(folder)
        if pid is None:
            return
        if number == signal.SIGTERM and processes.state(pid) in {"T", "t"}:
            continue  # somebody has stopped it: it would not hear us
        begun = processes.start_ticks(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while processes.start_ticks(pid) == begun and processes.state(pid) != "Z":  # noqa: ASYNC110 - not our child
                    await asyncio.sleep(_LOOK)
                return
        _LOG.warning("a transfer does not end", folder=str(folder), pid=pid, signal=number.name)
    raise errors.Interrupted(f"the transfer {folder.name} does not end, and cannot be killed")


def mark(name: str) -> dict[str, str]:
    """Return what a transfer's programs have in their environment, and hand on to theirs."""
    return {_MARK: name}


def sweep(place: Path, now: float) -> None:
    """Remove what transfers left that ended long ago and were never cleaned up."""
    with contextlib.suppress(OSError):
        for folder in place.iterdir():
            with contextlib.suppress(OSError):
                if folder.stat().st_mtime < now - _OLD and running(folder) is None:
                    shutil.rmtree(folder)
                    _LOG.info("what an old transfer left was removed", folder=str(folder))
