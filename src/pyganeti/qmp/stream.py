"""Bytes from a QMP socket, cut anywhere, into messages. No sockets, no clock.

Invariants: how the bytes were cut does not matter, the same bytes give the same messages in the
same order; nothing that a peer sends raises; at most `LONGEST_LINE` bytes are held, and none at
all between lines, since ten thousand idle connections each have one of these.

A line that is not a message becomes a `Garbage` in its place. A line that grows too long becomes
one as soon as that shows, and the rest of it is dropped unseen up to its newline.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from pyganeti.qmp import messages

LONGEST_LINE: Final = 1 << 20
"""Bytes of a line without its newline. QEMU's own lines stay below a few KiB."""

_BLANKS: Final = b" \t\r"
_decoder: Final = msgspec.json.Decoder(messages.Message)


class Garbage:
    """A line that is not a QMP message, and what was wrong with it."""

    __slots__ = ("reason",)
    event: Final = ""

    def __init__(self, reason: str) -> None:
        self.reason = reason


TOO_LONG: Final = Garbage("a line of more than 1 MiB")
NOT_JSON: Final = Garbage("a line that is not a JSON object")
NOT_A_MESSAGE: Final = Garbage("a JSON value that is not a QMP message")
NOT_UTF8: Final = Garbage("a line that is not UTF-8")
TOO_DEEP: Final = Garbage("a JSON value nested too deeply")

Item: TypeAlias = messages.Message | Garbage


class Stream:
    """Cuts the bytes of one connection into lines and decodes them."""

    __slots__ = ("_dropping", "_held")

    def __init__(self) -> None:
        self._held: bytearray | None = None
        self._dropping = False

    @property
    def held(self) -> int:
        """Bytes of an unfinished line that are being kept."""
        return len(self._held) if self._held else 0

    def feed(self, data: bytes) -> Sequence[Item]:
        """Take the next bytes; return the messages whose lines they finish."""
        end = data.rfind(b"\n") + 1
        if not end:
            return self._hold(data)
        rest = data[end:]
        lines = data if not rest else data[:end]
        found: list[Item] = []
        if self._dropping:
            self._dropping = False
            lines = lines[lines.index(b"\n") + 1 :]
        elif self._held is not None:
            lines = bytes(self._held) + lines
            self._held = None
        found.extend(_messages(lines))
        if rest:
            found.extend(self._hold(rest))
        return found

    def end(self) -> Sequence[Item]:
        """Take the end of the stream, which ends a line that had no newline yet."""
        held, self._held, self._dropping = self._held, None, False
        return _one_by_one(bytes(held)) if held else ()

    def _hold(self, data: bytes) -> Sequence[Item]:
        if self._dropping:
            return ()
        if self.held + len(data) > LONGEST_LINE:
            self._held = None
            self._dropping = True
            return (TOO_LONG,)
        if self._held is None:
            self._held = bytearray()
        self._held += data
        return ()


def _messages(lines: bytes) -> Sequence[Item]:
    """Decode whole lines, all in one go if they are what QEMU sends, else one by one.

    The decoder takes values for lines: it accepts two on one line, or one across two. If every
    newline stands between two braces, which JSON allows between values alone, and there are as
    many values as newlines, then each line is exactly one value.
    """
    newlines = lines.count(b"\n")
    if (
        len(lines) <= LONGEST_LINE
        and lines.startswith(b"{")
        and lines.endswith((b"}\r\n", b"}\n"))
        and lines.count(b"}\r\n{") + lines.count(b"}\n{") == newlines - 1
    ):
        try:
            decoded = _decoder.decode_lines(lines)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            if len(decoded) == newlines:
                return decoded
    return _one_by_one(lines)


def _one_by_one(lines: bytes) -> list[Item]:
    found: list[Item] = []
    for line in lines.split(b"\n"):
        if len(line) > LONGEST_LINE:
            found.append(TOO_LONG)
        elif stripped := line.strip(_BLANKS):
            found.append(_message(stripped))
    return found


def _message(line: bytes) -> Item:
    if not line.startswith(b"{"):
        return NOT_JSON
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        return NOT_A_MESSAGE
    except msgspec.DecodeError:
        return NOT_JSON
    except UnicodeDecodeError:
        return NOT_UTF8
    except RecursionError:
        return TOO_DEEP
