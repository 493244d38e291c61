"""``NAME.intent``: one JSON object, written by whoever is about to act on a qemu. Version 1.

Keys: ``version`` (1), ``kind``, ``pid``, ``deadline``, and optionally ``written``, ``job`` and
``reason``; times are seconds since the epoch. Reading is strict, because an intent turns "it died"
into "we did it": whatever is not exactly an intent raises `errors.BadInput` and counts for nothing.
Whether an intent is still alive, and for which qemu, is not decided here.
"""

import math
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import intent as intents
from pyganeti.wire import names

VERSION: Final = 1

LARGEST: Final = 16 * 1024
"""Bytes. A longer file is not an intent."""

_LONGEST_REASON: Final = 1024
_PIDS: Final = range(1, 2**31)


class _Stamp(msgspec.Struct):
    """The part of the format that every version shares."""

    version: int


_STAMP: Final = msgspec.json.Decoder(_Stamp)
_INTENT: Final = msgspec.json.Decoder(intents.Intent)
_ENCODER: Final = msgspec.json.Encoder()


def encode(intent: intents.Intent) -> bytes:
    """Return the file's content; a long reason is cut so that it can be read again."""
    found = msgspec.to_builtins(intent) | {"version": VERSION}
    if intent.reason:
        found["reason"] = names.readable(intent.reason)[:_LONGEST_REASON]
    return _ENCODER.encode(found) + b"\n"


def decode(content: bytes) -> intents.Intent:
    """Return the intent in a file's content, or raise `errors.BadInput`, which says why not."""
    if len(content) > LARGEST:
        raise errors.BadInput(f"an intent has at most {LARGEST} bytes")
    try:
        version = _STAMP.decode(content).version
        if version != VERSION:
            raise errors.BadInput(f"an intent of version {version} is not known here")
        intent = _INTENT.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise errors.BadInput(f"this is not an intent: {error}") from error
    if intent.pid not in _PIDS:
        raise errors.BadInput("an intent names the process it is for")
    if not (math.isfinite(intent.deadline) and intent.deadline > 0 <= intent.written):
        raise errors.BadInput("an intent's times are seconds since the epoch")
    if len(intent.reason) > _LONGEST_REASON:
        raise errors.BadInput(f"an intent's reason has at most {_LONGEST_REASON} characters")
    return intent
