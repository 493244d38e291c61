"""What a node says of masters and of its copies: the answer to ``master_standing``, and two files.

A copy of the configuration is told from an earlier one by the epoch of the master that wrote it,
then by its serial number: a master that was cut off may have gone on counting. The epoch is beside
the file, for the file's own form is Ganeti's. A copy of the queue is as good as the master's own if
the newest list of good copies that is known anywhere names it; the list is a file in each of them
(``candidates``), and its order is by epoch and number.
"""

import hashlib
from typing import Final

import msgspec

from pyganeti.base import errors

VERSION: Final = 1

LARGEST: Final = 1024 * 1024
"""Bytes that either file may have."""


class Label(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of which epoch a configuration is; while it is replaced, of which the one to come is."""

    epoch: int = 0
    coming: int = 0
    digest: str = ""
    """Of the one to come: whether it has is seen by that."""

    def of(self, digest: str) -> int:
        """Return the epoch of the content with a digest."""
        return self.coming if self.coming and digest == self.digest else self.epoch


class Good(msgspec.Struct, frozen=True):
    """Which copies of the queue have all that anybody was told, by the master that wrote them."""

    epoch: int
    number: int
    master: str
    """The uuid of the node with the original."""
    names: tuple[str, ...]
    """The uuids of those with copies."""
    version: int = VERSION

    @property
    def rank(self) -> tuple[int, int]:
        """What a newer one has more of."""
        return self.epoch, self.number


class Config(msgspec.Struct, frozen=True):
    """A copy of the configuration."""

    epoch: int
    serial: int


class Queue(msgspec.Struct, frozen=True):
    """A copy of the queue."""

    serial: int
    good: Good | None


class Standing(msgspec.Struct, frozen=True):
    """A node's; ``epoch`` is 0 and ``master`` empty if it has promised nothing."""

    epoch: int
    master: str
    config: Config | None
    queue: Queue | None
    prefix: str | None = None
    """Below which keys of an etcd its cluster is kept: empty if in files, None if not known."""


def digest_of(content: bytes) -> str:
    """Return what tells one configuration from another."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def decode_label(content: bytes) -> Label:
    """Return a label; raises Damaged if it is none."""
    try:
        return msgspec.json.decode(content, type=Label)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Damaged(f"this is not of which epoch a configuration is: {error}") from error


def decode_good(content: bytes) -> Good | None:
    """Return a list of good copies, None if it is none.

    One that is bare names, as was written before there were epochs, is the oldest.
    """
    try:
        found = msgspec.json.decode(content, type=Good | list[str])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(found, list):
        return Good(0, 0, "", tuple(found))
    return found if found.version == VERSION else None


def decode(payload: object) -> Standing:
    """Return what a node has answered; raises Damaged if it is nonsense."""
    try:
        return msgspec.convert(payload, Standing)
    except msgspec.ValidationError as error:
        raise errors.Damaged(f"a node says nonsense of how it stands: {error}") from error
