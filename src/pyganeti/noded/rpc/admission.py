"""Who may call: the master candidates, by their certificates' digests.

The cluster's map of them is a file that a master writes (``ssconf_master_candidates_certs``, lines
of ``uuid=digest``), looked at for every call: who is struck from it is out at once, kept
connections too. Before there is a map, while a cluster is being made or upgraded, only the
cluster's own certificate passes.

Where a file cannot be read (a disk that is gone), what was last read holds; nothing read yet means
that nobody passes. So both are read when the daemon starts: a node whose disk dies later can still
be told to reboot.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from pyganeti.base import errors, log, paths, tls

_LOG = log.get(__name__)
_LIMIT: Final = 4 * 1024 * 1024
_Content = TypeVar("_Content")


class Admission:
    """Decides whether a peer may call."""

    def __init__(self, layout: paths.Paths, certificate: Path) -> None:
        self._map = _Watched(layout.ssconf("master_candidates_certs"), _read_map)
        self._own = _Watched(certificate, tls.file_digest)
        for file in (self._map, self._own):
            with contextlib.suppress(errors.Failure):  # said when somebody calls
                file.content()

    def refusal(self, peer: tls.Peer | None) -> str | None:
        """Return why the peer may not call, None if it may."""
        if peer is None:
            return "no certificate was shown"
        try:
            candidates = self._map.content()
            if candidates:
                known = peer.digest in candidates
                return None if known else "the certificate is no master candidate's"
            own = self._own.content()
        except errors.Failure as error:
            return str(error)
        if peer.digest == own:
            return None
        return "there is no list of master candidates yet, and the certificate is not the cluster's"


class _Watched(Generic[_Content]):
    """What a file says, read again when it is another or has changed."""

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


def _read_map(path: Path) -> frozenset[str]:
    """Return the candidates' digests, none if there is no map."""
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    pairs = (line.partition("=") for line in text.splitlines())
    return frozenset(digest.strip().upper() for _, _, digest in pairs if digest.strip())
