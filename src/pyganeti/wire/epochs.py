"""Epochs: which master daemon calls, as nodes remember it and as every call says it.

A master that begins to lead takes an epoch, a number that is higher than any before, and most nodes
promise to follow nobody of a lower one. It stands in the HTTP header ``X-Ganeti-Epoch`` of a call,
as ``NUMBER MASTER``; a node that refuses a call because it knows a higher one has that in the same
header of its answer. Ganeti's own daemons look at no such header.

Two epochs of one number, which two masters may have taken at the same time on different nodes,
are in the order of the masters' names: of any two masters, every node prefers the same.
"""

import re
from typing import Final, NamedTuple

import msgspec

from pyganeti.base import errors

HEADER: Final = "X-Ganeti-Epoch"

MEMORY_HEADER: Final = "X-Ganeti-Remembers"
"""In every answer of a node daemon that remembers epochs: Ganeti's just breaks off when it is asked
for something that it does not know, as one does that is killed."""

VERSION: Final = 1

LARGEST: Final = 4096
"""Bytes. A longer file is not an epoch's."""

_HIGHEST: Final = 2**53
_MASTER: Final = re.compile(r"[!-~]{1,255}\Z", re.ASCII)


class Epoch(NamedTuple):
    """A master's epoch; greater is later."""

    number: int
    master: str
    """The name of the node that it is the master on."""

    def __str__(self) -> str:
        return f"{self.number} {self.master}"


class _File(msgspec.Struct):
    version: int
    epoch: int
    master: str


_FILE: Final = msgspec.json.Decoder(_File)


def of(number: int, master: str) -> Epoch:
    """Return an epoch; raises BadInput if that is none."""
    if isinstance(number, bool) or not 0 < number < _HIGHEST:
        raise errors.BadInput(f"{number!r} is not an epoch's number")
    if not _MASTER.match(master):
        raise errors.BadInput(f"{master!r:.80} is not a node's name")
    return Epoch(number, master)


def from_header(text: str) -> Epoch:
    """Return the epoch in a header; raises BadInput if it is none."""
    number, _, master = text.strip().partition(" ")
    if not number.isascii() or not number.isdecimal() or len(number) > len(str(_HIGHEST)):
        raise errors.BadInput(f"the header {HEADER} has no number: {text!r:.80}")
    return of(int(number), master)


def encode(epoch: Epoch) -> bytes:
    """Return the content of the file in which a node remembers one."""
    return msgspec.json.encode(_File(VERSION, epoch.number, epoch.master)) + b"\n"


def decode(content: bytes) -> Epoch:
    """Return the epoch in a file's content; raises Damaged if there is none."""
    try:
        found = _FILE.decode(content)
        if found.version != VERSION:
            raise errors.Damaged(f"an epoch of version {found.version} is not known here")
        return of(found.epoch, found.master)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, errors.BadInput) as error:
        raise errors.Damaged(f"this is not an epoch: {error}") from error
