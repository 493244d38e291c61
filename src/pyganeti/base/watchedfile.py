"""What a small file says, looked at each time it is asked, and read again only when it is another.

Where it cannot be read (a disk that is gone), what was last read holds, and that is said once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pyganeti.base import errors, log

_LOG = log.get(__name__)
_Content = TypeVar("_Content")


class Watched(Generic[_Content]):
    """One file; ``read`` makes its content of its path, whether or not it is there."""

    def __init__(self, path: Path, read: Callable[[Path], _Content]) -> None:
        self._path = path
        self._read = read
        self._seen: tuple[int, ...] | None = None
        self._content: _Content | None = None
        self._failing = False

    def content(self) -> _Content:
        """Return what the file says; raises Unavailable if it never could be read."""
        try:
            seen = _identity(self._path)
            if seen != self._seen or self._content is None:
                self._content = self._read(self._path)
                self._seen = seen
            self._failing = False
        except (OSError, errors.Failure) as error:
            if self._content is None:
                raise errors.Unavailable(f"{self._path} cannot be read: {error}") from error
            if not self._failing:
                _LOG.error("what was read before holds on", file=self._path, error=str(error))
            self._failing = True
        return self._content


def _identity(path: Path) -> tuple[int, ...]:
    """Return what changes with a file's content; empty if there is no file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
