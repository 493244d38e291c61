"""Every instance's status in a file, a line each, for programs that ask nobody: Ganeti's form.

Each group's pass writes ``watcher.UUID.instance-status``, and puts all groups' together into
``instance-status`` in the run directory; of an instance that changed its group the newer file says
it. That one is locked while it is put together; who cannot have the lock in time leaves it as it
is, for the other one writes it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pyganeti.base import errors, filelock, files, log, paths

PATIENCE: Final = 10.0
"""Seconds for which the lock is waited for."""

_MODE: Final = 0o640
_LOG: Final = log.get(__name__)


def place_of(layout: paths.Paths, uuid: str) -> Path:
    """Return a group's file."""
    return layout.state_dir / f"watcher.{uuid}.instance-status"


async def write(
    layout: paths.Paths, uuid: str, groups: Iterable[str], statuses: Mapping[str, str]
) -> None:
    """Write a group's file, and that of all ``groups``, their uuids. Failures are logged."""
    whole = layout.run_dir / "instance-status"
    try:
        files.make_directories(whole.parent, 0o755)
        files.write_atomically(place_of(layout, uuid), render(statuses), _MODE)
        async with filelock.exclusive(whole, PATIENCE):
            found = [_read(place_of(layout, group)) for group in groups]
            files.write_atomically(whole, render(merge(found)), _MODE)
    except OSError as error:
        _LOG.error("the statuses of instances cannot be written", why=str(error))
    except errors.Failure as error:
        _LOG.warning("the statuses of instances are not put together", why=str(error))


def render(statuses: Mapping[str, str]) -> bytes:
    """Return the content of a file."""
    return "\n".join(f"{name} {status}" for name, status in sorted(statuses.items())).encode()


def merge(found: Iterable[tuple[float, Mapping[str, str]]]) -> dict[str, str]:
    """Return the statuses of several files, each with its time: the newest counts."""
    merged: dict[str, str] = {}
    for _, statuses in sorted(found, key=lambda one: one[0]):
        merged.update(statuses)
    return merged


def _read(path: Path) -> tuple[float, dict[str, str]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            pairs = [line.split(None, 1) for line in file]
        written = path.stat().st_mtime
    except OSError:  # none yet
        return 0.0, {}
    return written, {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}  # noqa: PLR2004 - a name and a word
