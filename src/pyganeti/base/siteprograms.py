"""Finding the site's programs by name, and saying what one did: shared by every kind of them."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pyganeti.base import errors, runner

PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"
"""What Ganeti's hooks and OS scripts have always had."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


def is_name(name: str) -> bool:
    """Tell whether a program may have that name: letters, digits, ``_`` and ``-`` alone."""
    return _NAME.fullmatch(name) is not None


def find(name: str, folders: Iterable[Path]) -> Path | None:
    """Return the first file of that name in the folders, None if there is none."""
    if not is_name(name):
        return None
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def is_runnable(path: Path) -> bool:
    """Tell whether there is a regular file that we may execute."""
    return path.is_file() and os.access(path, os.X_OK)


def reason(finished: runner.Finished) -> str | None:
    """Return why a program did not do what it should, None if it did."""
    if finished.timed_out:
        return f"killed after {finished.seconds:.0f} s"
    if finished.status is None:
        return "killed, and has not ended yet"
    if finished.status < 0:
        return f"died of signal {-finished.status}"
    return f"exited with exit code {finished.status}" if finished.status else None


def checked(environment: dict[str, str]) -> dict[str, str]:
    """Return an environment that can be handed to a program; raises BadInput if it cannot."""
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise errors.BadInput(f"{name!r} cannot be handed to a program")
    return environment
