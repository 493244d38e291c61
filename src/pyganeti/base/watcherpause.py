"""Until when the watcher is to leave this node alone: a file with a time in it."""

from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, log, paths

_LOG = log.get(__name__)
_KEPT: Final = 3600
"""Seconds for which a pause that is over still lies there."""

_LONGEST: Final = 64


def place_of(layout: paths.Paths) -> Path:
    """Return where the time is written."""
    return layout.watcher_pause


def read(path: Path, now: float) -> int | None:
    """Return until when, None if there is no pause now; what is over or nonsense is removed."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST)
    except FileNotFoundError:
        return None
    try:
        until = int(content)
    except ValueError:
        _LOG.warning("the watcher's pause is no time, and removed", file=str(path))
        path.unlink(missing_ok=True)
        return None
    if now > until + _KEPT:
        path.unlink(missing_ok=True)
    return until if now <= until else None


def write(path: Path, until: float | None) -> None:
    """Set or, with None, end the pause. Raises Unavailable if that cannot be written."""
    try:
        if until is None:
            path.unlink(missing_ok=True)
        else:
            files.make_directories(path.parent)
            files.write_durably(path, b"%d\n" % until, 0o644)
    except (OSError, OverflowError, ValueError) as error:
        raise errors.Unavailable(f"the watcher's pause cannot be set: {error}") from error
