"""Keys in etcd, below a cluster's prefix, that say who leads, and who is to.

``leader`` has a `Record`, and is there only as long as the leader's lease. ``epoch`` has the number
of the last leadership there was. ``successor`` is a node's name, there for some seconds: the leader
gives the place up, and other candidates hold back. ``standbys/NAME`` is there while a daemon runs.
"""

import msgspec

from pyganeti.base import errors


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Who leads."""

    name: str
    address: str
    epoch: int
    since: float
    """Seconds since 1970, by the leader's clock: for people."""

    version: int = 1


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch's number."""

    epoch: int
    version: int = 1


def leader(prefix: bytes) -> bytes:
    """Return the key that says who leads."""
    return prefix + b"leader"


def epoch(prefix: bytes) -> bytes:
    """Return the key that has the highest epoch there was."""
    return prefix + b"epoch"


def successor(prefix: bytes) -> bytes:
    """Return the key that names who is to lead next."""
    return prefix + b"successor"


def standbys(prefix: bytes) -> bytes:
    """Return how the keys begin that there are while a node's daemon runs; then comes its name."""
    return prefix + b"standbys/"


def decode_leader(value: bytes) -> Record:
    """Return who leads; raises Damaged."""
    try:
        return msgspec.json.decode(value, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Damaged(f"who leads is not to be understood: {error}") from error


def encode_epoch(number: int) -> bytes:
    """Return the value of the key with the epoch."""
    return msgspec.json.encode(Number(epoch=number))


def decode_epoch(value: bytes) -> int:
    """Return the epoch that a value says; raises Damaged."""
    try:
        return msgspec.json.decode(value, type=Number).epoch
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Damaged(f"the epoch in etcd is not to be understood: {error}") from error
