"""What a cluster is kept in, as each master candidate has it: ``/var/lib/ganeti/store.json``.

Where there is no such file, everything is in plain files. One that is there says all of the store:
where it is reached, with which certificates, and below which key. It has no secrets in it, but says
where they are: mode 0600.
"""

from typing import Final, Literal

import msgspec

from pyganeti.base import errors

PATH: Final = "/var/lib/ganeti/store.json"
"""What all nodes call the file."""

MODE: Final = 0o600

AUTHORITY: Final = "/var/lib/ganeti/etcd-ca.pem"
CERTIFICATE: Final = "/var/lib/ganeti/etcd-client.pem"
KEY: Final = "/var/lib/ganeti/etcd-client.key"
CERTIFICATES: Final = frozenset({AUTHORITY, CERTIFICATE, KEY})
"""Where the cluster's own copies are, which candidates are sent; other files are theirs to have."""


class Etcd(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="etcd",
    forbid_unknown_fields=True,
):  # fmt: skip
    """A cluster kept in etcd."""

    endpoints: tuple[str, ...]
    """Its members, like ``https://host:2379``; any of them will do."""

    prefix: str
    """What all the cluster's keys begin with; it ends with a slash."""

    authority: str | None = None
    """A file with whom to trust; else whom the system does."""

    certificate: str | None = None
    key: str | None = None
    """Files with what to show, if etcd asks for that."""

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
    if not store.endpoints:
        raise errors.Damaged(f"{PATH}: no endpoint of etcd is named")
    if not store.prefix.startswith("/") or not store.prefix.endswith("/"):
        raise errors.Damaged(f"{PATH}: {store.prefix!r} does not begin and end with a slash")
    return store
