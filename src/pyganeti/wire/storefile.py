"""What a cluster is kept in, as each master candidate has it: ``/var/lib/ganeti/store.json``.

Where there is no such file, everything is in plain files. One that is there says all of the store:
where it is reached, with which certificates, and below which key. It has no secrets in it, but says
where they are: mode 0600.
"""

import ipaddress
from typing import Final, Literal

import msgspec

from pyganeti.base import errors

VERSION: Final = 1
PATH: Final = "/var/lib/ganeti/store.json"
"""What all nodes call the file."""

MODE: Final = 0o600
_PORTS: Final = range(1, 65536)


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files, the same on every candidate: whom to trust, and what to show if that is asked for."""

    ca: str
    certificate: str | None = None
    key: str | None = None


class Etcd(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="etcd",
    forbid_unknown_fields=True,
):  # fmt: skip
    """A cluster kept in etcd."""

    endpoints: tuple[str, ...]
    """``host:port`` of each member, an IPv6 address in brackets; any of them will do."""

    prefix: str
    """What all its keys begin with; it ends with a slash."""

    tls: Tls | None = None
    version: Literal[1] = 1


def encode(store: Etcd) -> bytes:
    """Return the file's content."""
    return msgspec.json.format(msgspec.json.encode(store), indent=1) + b"\n"


def decode(data: bytes) -> Etcd:
    """Return what a file says; raises Damaged, in words, if it is none."""
    try:
        store = msgspec.json.decode(data, type=Etcd)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Damaged(f"{PATH}: {error}") from error
    try:
        check(store)
    except errors.BadInput as error:
        raise errors.Damaged(f"{PATH}: {error}") from error
    return store


def check(store: Etcd) -> None:
    """Raise BadInput if a store cannot be meant."""
    if not store.endpoints:
        raise errors.BadInput("etcd needs one endpoint at least")
    for endpoint in store.endpoints:
        split(endpoint)
    if not store.prefix.startswith("/") or not store.prefix.endswith("/"):
        raise errors.BadInput(f"the prefix {store.prefix!r} does not begin and end with a slash")
    if store.tls is not None and (store.tls.certificate is None) != (store.tls.key is None):
        raise errors.BadInput("a certificate for etcd needs its key, and a key its certificate")


def split(endpoint: str) -> tuple[str, int]:
    """Return an endpoint's host and port; raises BadInput if it has none."""
    host, _, port = endpoint.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_bracketed = host != bare
    if not bare or not port.isascii() or not port.isdecimal() or int(port) not in _PORTS:
        raise errors.BadInput(f"{endpoint!r} is no endpoint: write HOST:PORT")
    if is_bracketed or ":" in bare:
        try:
            ipaddress.IPv6Address(bare)
        except ValueError as error:
            raise errors.BadInput(f"{endpoint!r} is no endpoint: {error}") from error
        if not is_bracketed:
            raise errors.BadInput(
                f"{endpoint!r}: an IPv6 address stands in brackets: [{bare}]:PORT"
            )
    return bare, int(port)
