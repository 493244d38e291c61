"""Files that every node of a cluster has to have alike, and programs that have to be there.

All of this blocks. Names are those that the whole cluster uses; a node below a root of its own has
them there.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pyganeti.base import log, paths, siteprograms

_LOG = log.get(__name__)
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK: Final = 256 * 1024


def digests(layout: paths.Paths, names: Iterable[str]) -> dict[str, str]:
    """Return each regular file's SHA1 digest, in hex; one that is not there is left out."""
    seen: dict[str, str] = {}
    for name in names:
        try:
            digest = _digest(layout.localize(name))
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                _LOG.warning("a file cannot be read", file=name, why=error.strerror)
            continue
        if digest is not None:
            seen[name] = digest
    return seen


def not_runnable(layout: paths.Paths, names: Iterable[str]) -> list[str]:
    """Return which of the site's programs cannot be run here."""
    return [name for name in names if not siteprograms.is_runnable(layout.localize(name))]


def helpers(names: Iterable[str]) -> list[str | None]:
    """Return what is wrong with each out-of-band program, None where nothing is."""
    return [_helper(Path(name)) for name in names]


def _helper(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return f"error stating out of band helper: {error}"
    if not stat.S_ISREG(mode):
        return f"out of band helper {path} is not a file"
    return None if mode & stat.S_IXUSR else f"out of band helper {path} is not executable"


def _digest(path: Path) -> str | None:
    fd = os.open(path, _READ)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        digest = hashlib.sha1(usedforsecurity=False)
        while piece := os.read(fd, _CHUNK):
            digest.update(piece)
    finally:
        os.close(fd)
    return digest.hexdigest()
