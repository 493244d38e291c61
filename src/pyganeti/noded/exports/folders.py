"""The folders of exports on this node: what is there, opening a dump, putting an export in place.

A path comes as the cluster knows it, and lies below the node's root. What is opened is below the
exports, symlinks and ``..`` seen through. Blocking.
"""

import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, paths

CONFIGURATION: Final = "config.ini"

_MODE: Final = 0o750
_DUMP_MODE: Final = 0o600
_CONFIGURATION_MODE: Final = 0o600
_UNFINISHED: Final = ".new"
_REPLACED: Final = ".replaced-"
_LIMIT: Final = 4 * 1024 * 1024
_FULL: Final = "the export cannot be finished"


def place(layout: paths.Paths) -> Path:
    """Return where exports are."""
    return layout.root / "srv/ganeti/export"


def every(layout: paths.Paths) -> list[str]:
    """Return the names of the exports that are there; raises Unavailable without a place."""
    try:
        names = os.listdir(place(layout))  # noqa: PTH208 - names are what is wanted
    except OSError as error:
        raise errors.Unavailable("No exports directory") from error
    return sorted(name for name in names if not name.startswith("."))


def description(layout: paths.Paths, path: str) -> str:
    """Return the configuration in an export, which may be anywhere.

    Raises Unavailable if there is none, Damaged if it is too long or no text.
    """
    folder = _located(layout, path)
    try:
        with (folder / CONFIGURATION).open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise errors.Unavailable(f"{folder / CONFIGURATION}: {error.strerror}") from error
    try:
        if len(data) <= _LIMIT:
            return data.decode()
    except UnicodeDecodeError:
        pass
    raise errors.Damaged(f"{folder / CONFIGURATION} is not an export's configuration")


def remove(layout: paths.Paths, name: str) -> None:
    """Remove an export; raises BadInput for what is no name, Unavailable if that fails."""
    folder = place(layout) / _name(name)
    _sweep(folder)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise errors.Unavailable(f"Error while removing the export: {error}") from error


def open_dump(layout: paths.Paths, path: str, *, writable: bool) -> int:
    """Open a dump below the exports; one that is to be written is made, or emptied.

    Raises BadInput for a path that is not below the exports, Unavailable if it cannot be opened.
    """
    if os.path.normpath(path) != path or not path.startswith("/"):
        raise errors.BadInput(f"Path '{path}' is not normalized or absolute")
    exports = Path(os.path.realpath(place(layout)))
    real = Path(os.path.realpath(_located(layout, path)))
    if exports not in real.parents:
        raise errors.BadInput(f"File '{path}' is not under exports directory '{place(layout)}'")
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    flags |= os.O_RDWR | os.O_CREAT | os.O_TRUNC if writable else os.O_RDONLY
    try:
        if writable:
            files.make_directories(real.parent, _MODE)
        fd = os.open(real, flags, _DUMP_MODE)
    except OSError as error:
        raise errors.Unavailable(f"{real}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise errors.BadInput(f"{real} is not a regular file")
    return fd


def finish(layout: paths.Paths, name: str, text: str, dumps: Collection[str]) -> None:
    """Put an export, which is whole, in the place of the one before; ``dumps`` are its files.

    What else an earlier attempt has left is removed. When this was cut short, it can be called
    again. Raises Unavailable if a dump is missing, Exhausted if there is no room.
    """
    folder = place(layout) / _name(name)
    new = folder.with_name(folder.name + _UNFINISHED)
    try:
        files.make_directories(new, _MODE)
        there = set(os.listdir(new))  # noqa: PTH208 - names are what is wanted
        missing = sorted(set(dumps) - there)
        if missing:
            raise errors.Unavailable(f"{_FULL}: {', '.join(missing)} is not in {new}")
        for stale in there - set(dumps) - {CONFIGURATION}:
            if not (new / stale).is_dir():
                (new / stale).unlink()
        files.write_durably(new / CONFIGURATION, text.encode(), _CONFIGURATION_MODE)
        _replace(folder, new)
    except OSError as error:
        raise errors.Exhausted(f"{_FULL}: {error}") from error


def _replace(folder: Path, new: Path) -> None:
    _sweep(folder)
    if folder.exists():
        folder.rename(folder.with_name(f".{folder.name}{_REPLACED}{os.urandom(4).hex()}"))
    new.rename(folder)
    fd = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what has been replaced: the export it was replaced by is in place, or was to be."""
    for old in folder.parent.glob(f".{_escaped(folder.name)}{_REPLACED}*"):
        shutil.rmtree(old, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _located(layout: paths.Paths, path: str) -> Path:
    """Return where a path lies: below the root, which it may begin with already."""
    given = Path(path)
    if layout.root in given.parents:
        path = f"/{given.relative_to(layout.root)}"
    return layout.localize(path)


def _name(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name or name.startswith("."):
        raise errors.BadInput(f"{name!r} is not the name of an export")
    return name
