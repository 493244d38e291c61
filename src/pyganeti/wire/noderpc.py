"""The node RPC's bodies: arguments in, an answer out, and the blobs that carry files.

A request is a JSON array of positional arguments; an answer is ``[true, payload]`` or
``[false, "why not"]``. A file's content is a blob: ``[0, text]``, or ``[1, text]`` with base64 of
zlib of the bytes, which Ganeti takes for 512 bytes and more. Whatever comes in, what goes out of
here is either right or a Failure with words for an operator; nothing expands beyond its limit.
"""

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.wire import names

PORT: Final = 1811
PROTOCOL: Final = 3_000_000
"""What the call ``version`` answers: Ganeti 3.0's."""

BODY_LIMIT: Final = 10 * 1024 * 1024
"""Bytes that a request's body may have."""

BLOB_LIMIT: Final = 64 * 1024 * 1024
"""Bytes that a blob may unpack to: compressed, more fits into a body than anybody means."""

_PLAIN: Final = 0
_COMPRESSED: Final = 1
_COMPRESS_FROM: Final = 512


def encode_arguments(arguments: Sequence[object]) -> bytes:
    """Return a request's body."""
    return msgspec.json.encode(list(arguments))


def decode_arguments(body: bytes) -> list[Any]:
    """Return the arguments that a body carries; raises BadInput if it carries none."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.BadInput(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise errors.BadInput("the body is nested too deeply") from error
    if not isinstance(decoded, list):
        raise errors.BadInput("the body is not a list of arguments")
    return decoded


def success(payload: object) -> bytes:
    """Return the body of an answer."""
    try:
        return msgspec.json.encode((True, payload))
    except UnicodeEncodeError:  # a file's name, say, that is not UTF-8
        return msgspec.json.encode((True, names.all_readable(payload)))


def failure(message: str) -> bytes:
    """Return the body of an answer that says why not."""
    return msgspec.json.encode((False, names.readable(message)))


def decode_answer(body: bytes) -> Any:  # noqa: ANN401 - JSON
    """Return an answer's payload.

    Raises Refused with the node's own words if it says why not, Damaged if this is no answer.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Damaged(f"the node's answer is not JSON: {error}") from error
    match decoded:
        case [True, payload]:
            return payload
        case [False, why]:
            raise errors.Refused(str(why))
    raise errors.Damaged("the node's answer is neither a success nor a failure")


def encode_blob(data: bytes) -> list[Any]:
    """Return bytes as arguments carry them."""
    if len(data) < _COMPRESS_FROM:
        try:
            return [_PLAIN, data.decode()]
        except UnicodeDecodeError:
            pass
    return [_COMPRESSED, base64.b64encode(zlib.compress(data, 3)).decode()]


def decode_blob(blob: object, limit: int = BLOB_LIMIT) -> bytes:
    """Return the bytes in a blob; raises BadInput if it is none, or has more than ``limit``.

    Takes as long as unpacking does, some 5 ms a megabyte: larger ones belong into a thread.
    """
    match blob:
        case [int(form), str(text)] if form is not True and form is not False:
            pass
        case _:
            raise errors.BadInput("a blob is a pair: 0 or 1, and a text")
    if form == _PLAIN:
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise errors.BadInput("a blob's text is not Unicode") from error
    elif form == _COMPRESSED:
        data = _unpack(text, limit)
    else:
        raise errors.BadInput(f"a blob's form is 0 or 1, not {form}")
    if len(data) > limit:
        raise errors.BadInput(f"a blob has more than {limit} bytes")
    return data


def _unpack(text: str, limit: int) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(base64.b64decode(text, validate=False), limit + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise errors.BadInput(f"a blob cannot be unpacked: {error}") from error
    if len(data) <= limit and not unpacking.eof:
        raise errors.BadInput("a blob cannot be unpacked: its end is missing")
    return data
