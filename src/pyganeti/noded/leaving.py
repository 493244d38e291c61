"""Making a node nobody's: what the cluster put on it goes, its secrets last.

Instances, disks and the journal of stops stay. If this is cut off in the middle, it can be asked
for again for as long as the daemon runs: the certificates it speaks with are in its memory.
"""

import contextlib
from pathlib import Path
from typing import Final

from pyganeti.base import daemon, errors, files, log, paths
from pyganeti.noded import queuefiles

_LOG = log.get(__name__)
_KEY_KINDS: Final = ("dsa", "ecdsa", "rsa")
_LIMIT: Final = 1024 * 1024


def remove_secrets(layout: paths.Paths) -> None:
    """Remove the cluster's files, jobs and certificates. Blocks.

    Raises Unavailable if something stays, after trying all of it.
    """
    secret = {layout.server_certificate, layout.client_certificate}
    failed: list[str] = []
    steps: tuple[daemon.Act, ...] = (
        lambda: queuefiles.purge_archived_too(layout),
        lambda: queuefiles.clean(layout.crypto_dir, set()),
        lambda: queuefiles.clean(layout.config_generations, set()),  # with secrets, like the last
        lambda: queuefiles.clean(layout.state_dir, secret),
        lambda: layout.client_certificate.unlink(missing_ok=True),
        lambda: layout.server_certificate.unlink(missing_ok=True),
    )
    for act in steps:
        try:
            act()
        except (OSError, errors.Failure) as error:
            _LOG.error("something of the cluster stays", why=str(error))
            failed.append(str(error))
    if failed:
        raise errors.Unavailable("; ".join(failed))


def remove_ssh_keys(directory: Path) -> None:
    """Remove root's own key pairs by which the cluster's nodes trust each other. Blocks.

    ``directory`` is root's ``.ssh``. What the node itself is trusted by goes from
    ``authorized_keys`` too; other people's keys stay. Failures are logged, no more.
    """
    for kind in _KEY_KINDS:
        private = directory / f"id_{kind}"
        public = directory / f"id_{kind}.pub"
        try:
            with contextlib.suppress(FileNotFoundError):
                _remove_authorized(directory / "authorized_keys", public.read_bytes()[:_LIMIT])
            private.unlink(missing_ok=True)
            public.unlink(missing_ok=True)
        except OSError as error:
            _LOG.error("an ssh key stays", file=str(private), why=error.strerror)


def _remove_authorized(path: Path, public: bytes) -> None:
    key = public.split()[:2]
    if len(key) != 2:  # noqa: PLR2004 - its kind and itself; then a comment
        return
    found = path.stat()
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not _has(line, key)]
    if kept != lines:
        owner = (found.st_uid, found.st_gid)
        files.write_durably(path, b"".join(kept), found.st_mode & 0o7777, owner)


def _has(line: bytes, key: list[bytes]) -> bool:
    """Say whether a line is for that key; options may stand before it."""
    words = line.split()
    return any(words[at : at + 2] == key for at in range(len(words)))
