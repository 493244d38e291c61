"""Moving a cluster to what it is to be kept in; the master daemon's program does the moving.

The certificates for etcd are copied first, to where every candidate is sent them. Whatever comes of
the move, the master daemon runs again afterwards, over what the cluster is kept in then.
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import daemons, errors, files, paths
from pyganeti.wire import storefile

MASTERD: Final = "ganeti-masterd"
_PATIENCE: Final = 600.0
_LIMIT: Final = 256 * 1024

Tell = Callable[[str], None]


def wanted(
    cluster: str,
    endpoints: Sequence[str],
    prefix: str | None,
    *,
    authority: Path | None,
    certificate: Path | None,
    key: Path | None,
) -> storefile.Etcd:
    """Return what is to be asked for; raises BadInput for what cannot be."""
    if not endpoints:
        raise errors.BadInput("etcd's members have to be named: --etcd-endpoints")
    if (certificate is None) != (key is None):
        raise errors.BadInput("--etcd-tls-cert and --etcd-tls-key go together")
    place = prefix or f"/ganeti/{cluster}/"
    if not place.startswith("/") or not place.endswith("/"):
        raise errors.BadInput(f"the prefix {place!r} does not begin and end with a slash")
    return storefile.Etcd(
        endpoints=tuple(endpoints),
        prefix=place,
        authority=None if authority is None else storefile.AUTHORITY,
        certificate=None if certificate is None else storefile.CERTIFICATE,
        key=None if key is None else storefile.KEY,
    )


def copy_certificates(
    layout: paths.Paths, *, authority: Path | None, certificate: Path | None, key: Path | None
) -> None:
    """Copy files to where the cluster has its own; raises BadInput or OSError."""
    for source, name in (
        (authority, storefile.AUTHORITY),
        (certificate, storefile.CERTIFICATE),
        (key, storefile.KEY),
    ):
        if source is None:
            continue
        try:
            with source.open("rb") as file:
                content = file.read(_LIMIT + 1)
        except OSError as error:
            raise errors.BadInput(f"{source} cannot be read: {error.strerror}") from error
        if b"-----BEGIN" not in content or len(content) > _LIMIT:
            raise errors.BadInput(f"{source} is no PEM file")
        files.write_durably(layout.localize(name), content, storefile.MODE)


def move(to: storefile.Etcd | None, say: Tell) -> None:
    """Move the cluster of this node to etcd, or to files for None; the daemon ends for that.

    Raises Unavailable, in the program's words, if that fails: then it is where it was.
    """
    command = daemons.installed(MASTERD)
    if command is None:
        raise errors.Unavailable(f"{MASTERD} is not installed")
    with contextlib.ExitStack() as stack:
        target = "files"
        if to is not None:
            file = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".json"))
            file.write(storefile.encode(to))
            file.flush()
            target = file.name
        try:
            done = subprocess.run(
                [command, "--convert-to", target],
                env=daemons.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise errors.Unavailable(f"the cluster was not moved in {_PATIENCE:g} s") from error
    for line in done.stdout.splitlines():
        say(line)
    if done.returncode:
        said = done.stderr.strip() or f"{MASTERD} ended with {done.returncode}"
        raise errors.Unavailable(said.splitlines()[-1])


def is_moved(layout: paths.Paths) -> bool:
    """Tell whether this node's cluster is kept in etcd."""
    return layout.store_file.exists()
