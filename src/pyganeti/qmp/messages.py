"""QMP messages as the daemon needs them: decoded just far enough to see whether they matter.

QEMU sends one JSON object a line: the greeting, events, and replies to commands. `Message` names
the members that tell these apart and leaves their values as undecoded JSON, so that the thousands
of events that nobody asked for cost a fraction of a microsecond each. The functions below decode a
value once it is known to matter.

Invariants: a line becomes a message only if all of it is one JSON object whose "event", if any, is
a string; nothing else in it needs to have the right type. The functions never raise, whatever the
peer sent: a value of the wrong type or out of range counts as absent. What they return is bounded
in length, so it can be kept.

Facts: docs/interop/qmp-spec.rst and qapi/run-state.json of QEMU. "guest" came with 2.10, "reason"
of SHUTDOWN and RESET with 4.0.
"""

import sys
from typing import Final

import msgspec

ABSENT: Final = msgspec.Raw()
"""What a member of `Message` holds that was not in the line."""

LONGEST_TEXT: Final = 128
"""Characters kept of any text out of a message; QEMU's own are at most some thirty long."""

_LAST_SECOND: Final = 1 << 40
_MICROSECONDS: Final = 1_000_000
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Message(msgspec.Struct, frozen=True, gc=False):
    """One line from QEMU. ``event`` is empty for the greeting and for replies."""

    event: str = ""
    timestamp: msgspec.Raw = ABSENT
    data: msgspec.Raw = ABSENT
    greeting: msgspec.Raw = msgspec.field(name="QMP", default=ABSENT)
    returned: msgspec.Raw = msgspec.field(name="return", default=ABSENT)
    error: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT


class _Timestamp(msgspec.Struct):
    seconds: int
    microseconds: int = 0


_timestamps: Final = msgspec.json.Decoder(_Timestamp)


def command(name: str, identity: str, arguments: object = None) -> bytes:
    """Encode a command, ended by a newline; QEMU repeats ``identity`` in its reply."""
    request: dict[str, object] = {"execute": name, "id": identity}
    if arguments is not None:
        request["arguments"] = arguments
    return msgspec.json.encode(request) + b"\n"


def members(raw: msgspec.Raw) -> dict[str, object]:
    """Decode a JSON object; anything else, or nothing, counts as one without members."""
    decoded = _decode(raw)
    return decoded if isinstance(decoded, dict) else {}


def text(value: object) -> str:
    """Return a decoded string, cut to `LONGEST_TEXT`; anything else counts as empty."""
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def identity(message: Message) -> str:
    """Return the identity a reply repeats, empty if it has none or not one of ours."""
    return text(_decode(message.id))


def happened(message: Message, otherwise: float) -> float:
    """Return when QEMU says the event was, in seconds since the epoch.

    ``otherwise`` is returned if it does not say; QEMU sends -1 if it could not read its clock.
    """
    if not bytes(message.timestamp):
        return otherwise
    try:
        stamp = _timestamps.decode(message.timestamp)
    except _MALFORMED:
        return otherwise
    if not (0 <= stamp.seconds < _LAST_SECOND and 0 <= stamp.microseconds < _MICROSECONDS):
        return otherwise
    return stamp.seconds + stamp.microseconds / _MICROSECONDS


def version(message: Message) -> str:
    """Return QEMU's version out of a greeting, such as "7.2.22"; empty if it does not say."""
    found: object = members(message.greeting)
    for member in ("version", "qemu"):
        found = found.get(member) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return ""
    numbers = [found.get(part) for part in ("major", "minor", "micro")]
    if not all(isinstance(number, int) and 0 <= number < _LAST_SECOND for number in numbers):
        return ""
    return sys.intern(".".join(str(number) for number in numbers))


def complaint(message: Message) -> str:
    """Return what an error reply says, for people; empty if the message is not one."""
    if not bytes(message.error):
        return ""
    error = members(message.error)
    return text(error.get("desc")) or text(error.get("class")) or "unexplained error"


def _decode(raw: msgspec.Raw) -> object:
    if not bytes(raw):
        return None
    try:
        return msgspec.json.decode(raw)
    except _MALFORMED:
        return None
