"""TLS as the cluster's daemons speak it: one self-signed certificate is server and authority.

While that is renewed a node has two of them: it speaks with the first in its file, and trusts both.

Both sides show a certificate and check the other's against the cluster's; no names are compared,
for the cluster's certificate is the same on every node. TLS 1.2 at least. Who may call is not
decided here: a certificate that the cluster signed gets a connection, and its `digest` is then
looked up.
"""

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyganeti.base import errors

_LIMIT: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: the certificate's common name and its digest."""

    name: str
    digest: str


def server_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return what a server speaks with: it asks every client for a certificate.

    ``authority`` has the certificate that clients' must be signed by, or be. Raises Unavailable,
    with the file's name, if one cannot be read or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Nobody resumes: a kept connection is cheaper, and a ticket would outlive a withdrawn right.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return _equipped(context, certificate, key, authority)


def client_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return what a client speaks with. Raises like `server_context`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _equipped(context, certificate, key, authority)


def peer(connection: ssl.SSLObject | ssl.SSLSocket) -> Peer | None:
    """Return who is at the other end of an established connection, None without certificate."""
    encoded = connection.getpeercert(binary_form=True)
    if encoded is None:
        return None
    subject: Any = (connection.getpeercert() or {}).get("subject", ())
    found = [value for part in subject for key, value in part if key == "commonName"]
    return Peer(name=found[0] if found else "", digest=digest(encoded))


def digest(certificate: bytes) -> str:
    """Return a DER certificate's digest as the cluster writes it: SHA1, ``AA:BB:…``."""
    return hashlib.sha1(certificate, usedforsecurity=False).digest().hex(":").upper()


def file_digest(path: Path) -> str:
    """Return the digest of the certificate in a PEM file; raises Unavailable if there is none."""
    return digest(read_certificate(path))


def read_certificate(path: Path) -> bytes:
    """Return a PEM file's first certificate as DER, whatever else is in there.

    Raises Unavailable, with the file's name, if there is none.
    """
    return read_certificates(path)[0]


def read_certificates(path: Path) -> list[bytes]:
    """Return a PEM file's certificates as DER; raises as `read_certificate`."""
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT).decode("ascii", "replace")
    except OSError as error:
        raise errors.Unavailable(f"{path}: {error.strerror}") from error
    found: list[bytes] = []
    begin = content.find(ssl.PEM_HEADER)
    while begin >= 0 and (end := content.find(ssl.PEM_FOOTER, begin)) >= 0:
        end += len(ssl.PEM_FOOTER)
        try:
            found.append(ssl.PEM_cert_to_DER_cert(content[begin:end]))
        except ValueError as error:
            raise errors.Unavailable(f"{path} has a damaged certificate") from error
        begin = content.find(ssl.PEM_HEADER, end)
    if not found:
        raise errors.Unavailable(f"{path} has no certificate")
    return found


def _equipped(
    context: ssl.SSLContext, certificate: Path, key: Path, authority: Path
) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # Ganeti's own certificates are of version 1, which the strict rules would refuse.
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    trusted = b"".join(read_certificates(authority))
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        where = str(certificate) if certificate == key else f"{certificate} and {key}"
        raise errors.Unavailable(f"{where}: no key and certificate: {error.reason}") from error
    except (OSError, ValueError) as error:
        raise errors.Unavailable(f"{certificate}, {key}: {error}") from error
    try:
        context.load_verify_locations(cadata=trusted)
    except ssl.SSLError as error:
        raise errors.Unavailable(f"{authority} has a damaged certificate") from error
    return context


def _no_password() -> str:
    raise ValueError("the key has a password, and nobody is there to type it")
