"""The job queue's files on this node: copies that a master keeps, for the day it is gone.

Only what is below the queue's directory is touched, and never its lock. Files belong to whom the
directory belongs, so that a master daemon with a user of its own can go on with them. All of this
blocks; who calls holds the queue's lock (`lock_of`).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, paths

_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
_VERSION: Final = b"1\n"
_LOCK: Final = "lock"


def lock_of(layout: paths.Paths) -> Path:
    """Return the file that everybody locks who writes to the queue."""
    return layout.queue_dir / _LOCK


def place_of(layout: paths.Paths, name: str) -> Path:
    """Return where a queue's file lies; raises Denied if that is not in the queue."""
    path = layout.localize(name)
    if not path.is_relative_to(layout.queue_dir) or path in {layout.queue_dir, lock_of(layout)}:
        raise errors.Denied(f"{name} is not a file of the job queue")
    return path


def update(layout: paths.Paths, path: Path, data: bytes) -> None:
    """Replace a file. Raises Unavailable if it cannot be written; the old one is then as it was."""
    try:
        _begin(layout)
        files.write_durably(path, data, _MODE, _owner(layout))
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be written: {error.strerror}") from error


def rename(layout: paths.Paths, old: Path, new: Path) -> None:
    """Give a file another name, in a directory that is made if need be.

    Done already is done: the old one gone and the new one there is what a retry finds. Raises
    Unavailable if it cannot be done.
    """
    try:
        _make_directory(layout, new.parent)
        try:
            old.rename(new)
        except FileNotFoundError:
            if not new.exists():
                raise
        for directory in {old.parent, new.parent}:
            files.sync_directory(directory)
    except OSError as error:
        raise errors.Unavailable(f"{old} cannot become {new}: {error.strerror}") from error


def purge(layout: paths.Paths) -> None:
    """Remove all jobs that are not archived, and what goes with them; the lock stays.

    Archived jobs stay, as with Ganeti: whoever has the queue begun anew here sends those that are
    not archived, so that the rest would be lost with the one who had it. Raises Unavailable if
    something cannot be removed.
    """
    _clean_all(layout, [layout.queue_dir, layout.queue_dir / "archive"])


def purge_archived_too(layout: paths.Paths) -> None:
    """Remove all jobs, for a node that is to know nothing of them any more; otherwise `purge`."""
    archive = layout.queue_dir / "archive"
    purge(layout)
    if archive.is_dir():
        _clean_all(layout, [d for d in archive.iterdir() if d.is_dir() and not d.is_symlink()])


def _clean_all(layout: paths.Paths, directories: Sequence[Path]) -> None:
    try:
        for directory in directories:
            clean(directory, {lock_of(layout)})
    except OSError as error:
        raise errors.Unavailable(f"the queue cannot be emptied: {error}") from error


def clean(directory: Path, spared: set[Path]) -> None:
    """Remove a directory's regular files, except hidden and spared ones; OSError if one stays."""
    if not directory.is_dir():
        return
    for path in list(directory.iterdir()):
        if path.name.startswith(".") or path in spared or path.is_symlink() or not path.is_file():
            continue
        path.unlink(missing_ok=True)


def set_drained(layout: paths.Paths, *, drained: bool) -> None:
    """Say, in a file, whether the queue takes no more jobs. Raises Unavailable if it cannot."""
    path = layout.queue_dir / "drain"
    if drained:
        update(layout, path, b"")
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be removed: {error.strerror}") from error


def _begin(layout: paths.Paths) -> None:
    """Make a queue of a directory that is none yet."""
    files.make_directories(layout.queue_dir, _DIRECTORY_MODE)
    version = layout.queue_dir / "version"
    if not version.exists():
        files.write_durably(version, _VERSION, _MODE, _owner(layout))


def _make_directory(layout: paths.Paths, path: Path) -> None:
    missing = [p for p in (path, *path.parents) if p.is_relative_to(layout.queue_dir)]
    missing = [p for p in missing if not p.exists()]
    files.make_directories(path, _DIRECTORY_MODE)
    owner = _owner(layout)
    if owner is not None:
        for made in missing:
            os.chown(made, *owner)


def _owner(layout: paths.Paths) -> files.Owner | None:
    if os.geteuid() != 0:
        return None
    found = layout.queue_dir.stat()
    return found.st_uid, found.st_gid
