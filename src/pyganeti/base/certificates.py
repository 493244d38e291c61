"""Makes and renews the cluster's certificates: key and certificate in one PEM file.

``server.pem`` signs itself; it is the same on every node, and every ``client.pem`` is signed by
it. So a new server certificate makes every client certificate worthless: renew those right after.
A file is replaced durably and whole, and only its owner may read it. Imported late where a daemon
hardly ever needs it: the library is large.
"""

import datetime as dt
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyganeti.base import errors, files, tls

DAYS: Final = 5 * 365
"""How long a certificate is good, unless told otherwise."""

COMMON_NAME: Final = "ganeti.example.com"
"""Whom a server certificate is made out to where nobody says: nobody compares it."""

_KEY_BITS: Final = 2048
_LEEWAY: Final = dt.timedelta(minutes=5)
"""How much earlier a certificate is good, for nodes whose clocks are behind."""

_PEERS: Final = "nodes of one cluster"
_PEER_LEEWAY: Final = dt.timedelta(days=1)
"""A migration is not to fail for a clock; these certificates are seen by nobody else."""

_MODE: Final = 0o600
_LIMIT: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Certificate:
    """A key and its certificate, and what people ask about it; ``pem`` has both."""

    pem: bytes = field(repr=False)
    name: str
    digest: str
    begins: dt.datetime
    ends: dt.datetime
    issuer: str
    """Whose name signed it; its own if that is the same."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What one of two nodes shows the other for a while; each part as PEM."""

    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)


def make_peer(signer: bytes, name: str, now: dt.datetime, *, days: float = 2) -> Peer:
    """Make what two nodes of a cluster know each other by, as client or server, for a short time.

    ``signer`` is the cluster's key and certificate. Only the key counts: the authority is made
    from it on either side, and is the same to whoever checks. ``name`` is whom the server is
    asked for as. Takes a few milliseconds.
    """
    _, authority_key = _read(signer)
    subject = _subject(_PEERS)
    begin = now - _PEER_LEEWAY
    authority = _builder(subject, subject, authority_key.public_key(), begin, days + 1)
    authority = authority.add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    ).add_extension(_usage(signs_certificates=True), critical=True)
    key = ec.generate_private_key(ec.SECP256R1())
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    own = _builder(_subject(name), subject, key.public_key(), begin, days + 1)
    own = (
        own.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    encoding = serialization.Encoding.PEM
    return Peer(
        authority.sign(authority_key, hashes.SHA256()).public_bytes(encoding),
        own.sign(authority_key, hashes.SHA256()).public_bytes(encoding),
        key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def make_server(
    now: dt.datetime,
    *,
    name: str = COMMON_NAME,
    days: float = DAYS,
    also: str | None = None,
    successor: bool = False,
) -> Certificate:
    """Make the cluster's certificate and key, signed by itself. ``now`` is aware; takes 0.1 s.

    ``also`` is a further name that it is good for. A ``successor`` is to be trusted beside the
    certificate before it: its subject is like no other's, for of two authorities with one subject
    OpenSSL (1.1 to 3.5) looks at the first alone.
    """
    key = _make_key()
    subject = _subject(name, secrets.token_hex(8) if successor else None)
    builder = _builder(subject, subject, key.public_key(), now, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    if also is not None:
        names = x509.SubjectAlternativeName([x509.DNSName(one) for one in (name, also)])
        builder = builder.add_extension(names, critical=False)
    return _signed(builder, key, key)


def make_client(signer: bytes, name: str, now: dt.datetime, *, days: float = DAYS) -> Certificate:
    """Make a client's certificate and key, signed by the cluster's, which comes as PEM.

    ``name`` is the node's. Raises BadInput if ``signer`` is not a key and its certificate.
    """
    authority, authority_key = _read(signer)
    key = _make_key()
    builder = _builder(_subject(name), authority.subject, key.public_key(), now, days)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    return _signed(builder, key, authority_key)


def load(pem: bytes) -> Certificate:
    """Return what a file's content says; raises BadInput if it is not a key and its certificate."""
    certificate, _ = _read(pem)
    return _described(certificate, pem)


def is_signed_by(client: Certificate, signer: Certificate) -> bool:
    """Tell whether the cluster's certificate has signed a client's."""
    try:
        _read(client.pem)[0].verify_directly_issued_by(_read(signer.pem)[0])
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def halves(made: Certificate) -> tuple[bytes, bytes]:
    """Return the key and the certificate, each alone, as PEM."""
    certificate, key = _read(made.pem)
    return _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def renew_server(
    path: Path,
    now: dt.datetime,
    *,
    name: str | None = None,
    days: float = DAYS,
    owner: files.Owner | None = None,
) -> Certificate:
    """Put a new cluster certificate into its file, made out as the old one unless told otherwise.

    Raises BadInput if the old one should say the name and cannot, OSError if it cannot be written.
    """
    if name is None:
        name = read(path).name or COMMON_NAME
    made = make_server(now, name=name, days=days)
    files.write_durably(path, made.pem, _MODE, owner)
    return made


def renew_client(
    path: Path,
    signer: Path,
    name: str,
    now: dt.datetime,
    *,
    days: float = DAYS,
    owner: files.Owner | None = None,
) -> Certificate:
    """Put a new client certificate, signed by the one in the file ``signer``, into its file.

    Raises BadInput if the signer's file is not what it should be, OSError if one cannot be read or
    written.
    """
    made = make_client(read(signer).pem, name, now, days=days)
    files.write_durably(path, made.pem, _MODE, owner)
    return made


def read(path: Path) -> Certificate:
    """Return what is in a file; raises OSError, or BadInput with the file's name."""
    with path.open("rb") as file:
        content = file.read(_LIMIT)
    try:
        return load(content)
    except errors.BadInput as error:
        raise errors.BadInput(f"{path}: {error}") from error


def validity(path: Path) -> tuple[dt.datetime, dt.datetime]:
    """Return from when until when the certificate in a file is good, with a key or without.

    Raises OSError, or BadInput with the file's name.
    """
    with path.open("rb") as file:
        content = file.read(_LIMIT)
    try:
        return validity_of(content)
    except errors.BadInput as error:
        raise errors.BadInput(f"{path}: {error}") from error


def validity_of(content: bytes) -> tuple[dt.datetime, dt.datetime]:
    """Return from when until when a certificate is good; raises BadInput if it is none."""
    try:
        found = x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise errors.BadInput(f"no certificate: {error}") from error
    return found.not_valid_before_utc, found.not_valid_after_utc


def _make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def _subject(name: str, serial: str | None = None) -> x509.Name:
    try:
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if serial is not None:
            parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
        return x509.Name(parts)
    except ValueError as error:
        raise errors.BadInput(f"{name!r} cannot be a certificate's name: {error}") from error


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    now: dt.datetime,
    days: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey, signer: rsa.RSAPrivateKey
) -> Certificate:
    certificate = builder.sign(signer, hashes.SHA256())
    return _described(
        certificate, _key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)
    )


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _described(certificate: x509.Certificate, pem: bytes) -> Certificate:
    return Certificate(
        pem=pem,
        name=_common_name(certificate.subject),
        digest=tls.digest(certificate.public_bytes(serialization.Encoding.DER)),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        issuer=_common_name(certificate.issuer),
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _read(pem: bytes) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise errors.BadInput(f"no key and certificate: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise errors.BadInput("the key is not of the kind RSA")
    if key.public_key() != certificate.public_key():
        raise errors.BadInput("the key and the certificate do not belong together")
    return certificate, key
