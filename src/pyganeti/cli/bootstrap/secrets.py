"""What the nodes of a cluster know each other by: keys, certificates, shared secrets.

Every file is its owner's alone. Names are those that all nodes know them by, and that the cluster
is verified for.
"""

import datetime as dt
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import certificates, files, paths

_MODE: Final = 0o600
_SECRET_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a cluster's nodes share, by the name of the file, and the first node's own."""

    shared: dict[str, bytes]
    client: certificates.Certificate


def make(cluster: str, node: str, now: dt.datetime) -> Secrets:
    """Make all secrets of a new cluster and its first node; takes a second."""
    server = certificates.make_server(now, name=cluster)
    authority = certificates.make_server(now, name=cluster)
    return Secrets(
        shared={
            "server.pem": server.pem,
            "rapi.pem": certificates.make_server(now, name=cluster).pem,
            "spice.pem": authority.pem,
            "spice-ca.pem": certificate_of(authority.pem),
            "hmac.key": draw(),
            "cluster-domain-secret": draw(),
        },
        client=certificates.make_client(server.pem, node, now),
    )


def write(layout: paths.Paths, made: Secrets) -> list[Path]:
    """Write them, each durably; return where. Raises OSError."""
    written = []
    for name, content in made.shared.items():
        path = layout.state_dir / name
        files.write_durably(path, content, _MODE)
        written.append(path)
    files.write_durably(layout.client_certificate, made.client.pem, _MODE)
    return [*written, layout.client_certificate]


def draw() -> bytes:
    """Return a new secret, as a line."""
    return secrets.token_hex(_SECRET_BYTES).encode() + b"\n"


def certificate_of(pem: bytes) -> bytes:
    """Return the certificate in a PEM file without its key."""
    return pem[pem.index(b"-----BEGIN CERTIFICATE-----") :]
