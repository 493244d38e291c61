"""How a machine is taken into a cluster: what is handed over, and the token that it asks with.

A machine that wants in listens for a while with a certificate made for the occasion, and shows its
administrator a token: where it listens, the certificate's fingerprint, a secret. Whoever types
the token on the master has both: the fingerprint tells the master that it talks to that machine
and to nobody else, the secret tells the machine that it is told by who read the token. The master
proves the secret without saying it, over a number that is drawn for each connection, so that what
was overheard is worth nothing. Only then is the bundle sent: the cluster's key among it.

Each message is JSON after its length (4 bytes, big-endian). Pure; no sockets here.
"""

import base64
import hashlib
import hmac
import ipaddress
import secrets
import struct
from dataclasses import dataclass, field
from typing import Final, Self, TypeVar

import msgspec

from pyganeti.base import errors

FORMAT: Final = 1
"""Of the messages and the bundle; who knows another refuses it."""

SMALL: Final = 4096
"""Bytes that a message may have from who has not proved anything yet."""

LARGE: Final = 8 * 1024 * 1024

LENGTH: Final = struct.Struct("!I")

_PREFIX: Final = "gnj1-"
_FIXED: Final = struct.Struct("!H32s16s")
_CHECK: Final = 4
_CONTEXT: Final = b"ganeti-node-join 1\0"
_NONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Token:
    """Where a machine waits, and what it is known by and knows others by."""

    address: str
    port: int
    fingerprint: bytes
    """SHA-256 of its certificate."""

    secret: bytes = field(repr=False)

    @classmethod
    def draw(cls, address: str, port: int, certificate: bytes) -> Self:
        """Make a token with a new secret; ``certificate`` is as DER."""
        return cls(address, port, fingerprint(certificate), secrets.token_bytes(16))

    def encode(self) -> str:
        """Return the one word that people copy."""
        body = _FIXED.pack(self.port, self.fingerprint, self.secret) + self.address.encode()
        whole = body + hashlib.sha256(body).digest()[:_CHECK]
        return _PREFIX + base64.urlsafe_b64encode(whole).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return what a word says; raises BadInput if it is not a whole token."""
        word = text.strip()
        given = word.removeprefix(_PREFIX)
        try:
            whole = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
            body, check = whole[:-_CHECK], whole[-_CHECK:]
            if given.endswith("="):
                raise ValueError("it is never padded")  # noqa: TRY301 - told like the others
            if given == word or hashlib.sha256(body).digest()[:_CHECK] != check:
                raise ValueError("the sum differs")  # noqa: TRY301 - told like the others
            port, shown, secret = _FIXED.unpack_from(body)
            address = str(ipaddress.ip_address(body[_FIXED.size :].decode()))
        except (ValueError, struct.error) as error:
            raise errors.BadInput(
                "that is no token, or not all of one: copy the whole word that ganeti-node-join"
                " has printed"
            ) from error
        return cls(address, port, shown, secret)


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a machine a node: to be kept from everybody else."""

    format: int = FORMAT
    protocol: int
    """The node RPC's version."""

    cluster_name: str
    node_name: str
    server_pem: str
    """The cluster's key and certificate."""

    settings: dict[str, str]
    """The simple settings, by name."""

    storage: list[str] = []
    """Directories in which the cluster keeps disks that are files."""

    def __repr__(self) -> str:
        """Say whose it is, and none of the secrets."""
        return f"<Bundle for {self.node_name} of {self.cluster_name}>"


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """The machine's first words: who it is, and the number to prove the secret over."""

    format: int = FORMAT
    node: str
    nonce: str


class Proof(msgspec.Struct, frozen=True):
    """The master's answer."""

    proof: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with what was asked; ``error`` is for the administrator to read."""

    node: str = ""
    error: str | None = None


T = TypeVar("T", Bundle, Greeting, Proof, Answer)


def greet(node: str) -> Greeting:
    """Return a greeting with a number that was never used."""
    return Greeting(node=node, nonce=secrets.token_hex(_NONCE))


def prove(token: Token, greeting: Greeting) -> Proof:
    """Return what only who has the secret can say to a greeting."""
    said = _CONTEXT + token.fingerprint + greeting.nonce.encode()
    return Proof(hmac.new(token.secret, said, hashlib.sha256).hexdigest())


def is_proof(token: Token, greeting: Greeting, proof: Proof) -> bool:
    """Tell whether the secret was proved; takes as long for any wrong answer."""
    right = prove(token, greeting).proof.encode()
    return hmac.compare_digest(right, proof.proof.encode(errors="replace"))


def is_pinned(token: Token, certificate: bytes | None) -> bool:
    """Tell whether a certificate, as DER, is the one that the token names."""
    return certificate is not None and hmac.compare_digest(
        fingerprint(certificate), token.fingerprint
    )


def fingerprint(certificate: bytes) -> bytes:
    """Return what a certificate, as DER, is known by."""
    return hashlib.sha256(certificate).digest()


def encode(message: Bundle | Greeting | Proof | Answer) -> bytes:
    """Return a message as JSON."""
    return msgspec.json.encode(message)


def framed(message: Bundle | Greeting | Proof | Answer) -> bytes:
    """Return a message as it goes over a connection."""
    body = encode(message)
    return LENGTH.pack(len(body)) + body


def decode(data: bytes, kind: type[T]) -> T:
    """Return a message; raises Damaged if it is none, BadInput for one of another format."""
    try:
        found = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Damaged(f"that is no {kind.__name__.lower()}: {error}") from error
    known = getattr(found, "format", FORMAT)
    if known != FORMAT:
        raise errors.BadInput(
            f"the other side speaks version {known} of this, and here is {FORMAT}: install the same"
            " version of pyganeti on both"
        )
    return found


def length(prefix: bytes, most: int) -> int:
    """Return how many bytes follow; raises Damaged if they are more than allowed."""
    (found,) = LENGTH.unpack(prefix)
    if not 0 < found <= most:
        raise errors.Damaged(f"a message of {found} bytes where {most} are the most")
    return int(found)
