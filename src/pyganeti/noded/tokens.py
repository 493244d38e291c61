"""The node's certificates, as masters ask for them: their digests, and new ones.

A new client certificate is signed by the cluster's, which this node has, and its key never leaves
the node. It replaces the old one whole, or waits beside it as ``client.pem.tmp``, so that a master
can make its digest known to everybody before it begins to show it.

The cluster's own is replaced in steps that a master takes with all nodes together: first the new
one is trusted beside the old, then spoken with, then the old one is forgotten. The daemon reads the
file again for the next connection. No other file is written.
"""

from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from pyganeti.base import apart, errors, log, paths, tls
from pyganeti.noded import certificatework

_LOG = log.get(__name__)
_WAITING: Final = "client.pem.tmp"
_PATIENCE: Final = 60.0

Action: TypeAlias = Literal["get", "create"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may say besides."""

    cert_file: str | None = None
    """Which certificate, by the path that it has on every node; the client's unless named."""


Request: TypeAlias = tuple[Literal["ssl"], Action, Options | None]


def place_of(layout: paths.Paths, action: Action, options: Options | None) -> Path:
    """Return the file that a request is about; raises Denied for one that may not be asked for."""
    if options is None or not options.cert_file:
        return layout.client_certificate
    wanted = layout.localize(options.cert_file)
    clients = {layout.client_certificate, layout.client_certificate.with_name(_WAITING)}
    if wanted in clients or (action == "get" and wanted == layout.server_certificate):
        return wanted
    raise errors.Denied(f"{options.cert_file} is no certificate to {action} by a call")


async def create(layout: paths.Paths, path: Path, name: str) -> str:
    """Put a new client certificate into its file; return the digest. Takes half a second.

    ``name`` is this node's. Raises Unavailable if the cluster's certificate cannot be read or the
    disk refuses; the old one is then as it was.
    """
    signer = str(layout.server_certificate)
    digest = await apart.call(certificatework.make, str(path), signer, name, timeout=_PATIENCE)
    _LOG.info("a client certificate was made", file=str(path), digest=digest)
    return digest


async def replace_server(layout: paths.Paths, content: str) -> None:
    """Put another key and certificate of the cluster's into their file.

    Raises BadInput if nobody who has the old ones could reach this node then, or they are none.
    """
    path = layout.server_certificate
    await apart.call(certificatework.replace_server, str(path), content, timeout=_PATIENCE)
    _LOG.info(
        "the cluster's certificate was replaced", file=str(path), digest=tls.file_digest(path)
    )
