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
from pathlib import Path
from typing import Final

from pyganeti.base import errors, paths, tls, watchedfile

_LIMIT: Final = 4 * 1024 * 1024


class Admission:
    """Decides whether a peer may call."""

    def __init__(self, layout: paths.Paths, certificate: Path) -> None:
        self._map = watchedfile.Watched(layout.ssconf("master_candidates_certs"), _read_map)
        self._own = watchedfile.Watched(certificate, tls.file_digest)
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


def _read_map(path: Path) -> frozenset[str]:
    """Return the candidates' digests, none if there is no map."""
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    pairs = (line.partition("=") for line in text.splitlines())
    return frozenset(digest.strip().upper() for _, _, digest in pairs if digest.strip())
