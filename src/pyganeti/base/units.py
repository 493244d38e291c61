"""Starting a daemon by its systemd unit, on nodes where systemd runs and has one.

So it is restarted when it fails, and is nobody's child. Flags for one start alone go through a file
that the unit reads as its environment (Ganeti's units do that, too): it is there for as long as
the start takes.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, paths, runner

RUNS: Final = Path("/run/systemd/system")
"""Where systemd is the init process, this is there."""

_COMMAND: Final = "systemctl"
_ASKED: Final = 20.0
_LOADED: Final = b"loaded"
_MODE: Final = 0o644


def once_file(layout: paths.Paths, daemon: str) -> Path:
    """Return the file with a unit's flags for one start."""
    return layout.state_dir / f"{daemon}.onetime.conf"


async def has(layout: paths.Paths, daemon: str, *, runs: Path = RUNS) -> bool:
    """Tell whether systemd starts a daemon here. One node of several on a machine has no units."""
    if layout.root != Path("/") or not _has_systemd(runs):
        return False
    line = [_COMMAND, "show", "--property=LoadState", "--value", f"{daemon}.service"]
    return (await _run(line, _ASKED)).output.strip() == _LOADED


async def start(
    daemon: str, arguments: Sequence[str], once: Path, *, patience: float
) -> runner.Finished:
    """Start a daemon's unit, with these flags besides its own; return how systemctl ended.

    Raises Unavailable if the flags cannot be handed over.
    """
    with _told(once, arguments):
        return await _run([_COMMAND, "start", f"{daemon}.service"], patience)


async def restart(daemon: str, *, patience: float) -> runner.Finished:
    """Start a daemon's unit anew; return how systemctl ended. Raises Unavailable without one."""
    return await _run([_COMMAND, "restart", f"{daemon}.service"], patience)


@contextlib.contextmanager
def _told(once: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Have the flags lie in their file inside this block."""
    if not arguments:
        yield
        return
    flags = f'ONETIME_ARGS="{" ".join(arguments)}"\n'
    try:
        files.write_atomically(once, flags.encode(), _MODE)
        try:
            yield
        finally:
            once.unlink(missing_ok=True)
    except OSError as error:
        raise errors.Unavailable(f"{once}: {error.strerror}") from error


def _has_systemd(runs: Path) -> bool:
    return runs.is_dir() and shutil.which(_COMMAND) is not None


async def _run(line: Sequence[str], patience: float) -> runner.Finished:
    environment: Mapping[str, str] = {"PATH": os.environ.get("PATH", os.defpath)}
    try:
        return await runner.run(line, environment=environment, timeout=patience)
    except OSError as error:
        raise errors.Unavailable(f"{line[0]} cannot be run: {error.strerror}") from error
