"""Providers of external storage: directories of scripts that an administrator installs.

A provider is usable when all scripts that Ganeti's interface requires are there and executable,
and its parameters are listed. A name never leads out of the search path.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import errors

_REQUIRED: Final = ("create", "attach", "detach", "remove", "grow", "setinfo", "verify")
_OPTIONAL: Final = ("snapshot", "open", "close")
_PARAMETERS: Final = "parameters.list"


@dataclass(frozen=True, slots=True)
class Provider:
    """A usable provider: its scripts by action, and the parameters it takes with their meaning."""

    name: str
    directory: Path
    scripts: Mapping[str, Path]
    parameters: tuple[tuple[str, ...], ...]


def find(name: str, search: Sequence[Path]) -> Provider:
    """Return a provider, the first of that name; raises Unavailable if there is none."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise errors.BadInput(f"{name!r} is not the name of a storage provider")
    for directory in search:
        if (directory / name).is_dir():
            return _load(name, directory / name)
    places = ", ".join(str(directory) for directory in search)
    raise errors.Unavailable(f"there is no storage provider {name} in {places}")


def diagnose(search: Sequence[Path]) -> list[tuple[str, str, bool, str, list[list[str]]]]:
    """Return name, path, whether it is usable, why not, and parameters, of each that is there."""
    found: list[tuple[str, str, bool, str, list[list[str]]]] = []
    for directory in search:
        try:
            names = sorted(name for name in os.listdir(directory) if not name.startswith("."))  # noqa: PTH208
        except OSError:  # most nodes have none
            continue
        for name in names:
            path = directory / name
            try:
                provider = _load(name, path)
            except errors.Failure as error:
                found.append((name, str(path), False, str(error), []))
            else:
                parameters = [list(words) for words in provider.parameters]
                found.append((name, str(path), True, "", parameters))
    return found


def _load(name: str, directory: Path) -> Provider:
    scripts = {}
    for action in (*_REQUIRED, *_OPTIONAL):
        path = directory / action
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if action in _OPTIONAL:
                continue
            raise errors.Unavailable(
                f"storage provider {name} has no script {action}: {error.strerror}"
            ) from error
        if not stat.S_ISREG(mode) or not mode & stat.S_IXUSR:
            raise errors.Unavailable(f"{path} is not an executable file")
        scripts[action] = path
    try:
        text = (directory / _PARAMETERS).read_text(errors="replace")
    except OSError as error:
        raise errors.Unavailable(
            f"storage provider {name} has no {_PARAMETERS}: {error.strerror}"
        ) from error
    lines = [tuple(line.split(None, 1)) for line in text.splitlines()]
    return Provider(name, directory, scripts, tuple(words for words in lines if words))
