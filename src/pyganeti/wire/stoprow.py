r"""One stop as programs see it: a JSON object (version 1), or variables in a hook's environment.

Keys are stable; new ones may be added, so readers ignore what they do not know. The object:

``version``    1
``number``     the journal's number of the row, rising; 0 if it is not stored yet
``name``       the guest's name; bytes that are not UTF-8 are written ``\xNN``
``name_hex``   null, or the name's exact bytes in hexadecimal if it is not UTF-8
``key``        identifies the qemu on this host, over all boots
``boot_id``    the host's boot id at the time
``socket``     file name of the socket on which it was watched
``pid``        the qemu's process, or null
``started``, ``stopped``, ``recorded``  seconds since the epoch; ``started`` may be null
``cause``      one of the closed set of causes, such as ``user-poweroff``
``meaning``    what that cause means, in words
``marker``     whether the cause leaves ``NAME.shutdown``
``why``        the deciding evidence in one sentence
``qemu``       its version, or ""
``evidence``   an object: what it rests on; a key that is absent was not found out, or is at rest

Writing never fails: text that is not Unicode is written out (see `names`).
"""

import os
import re
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import cause as causes
from pyganeti.model import evidence as evidences
from pyganeti.model import stop as stops
from pyganeti.wire import names

VERSION: Final = 1


class _Row(msgspec.Struct):
    """What is read of the object; ``meaning`` and ``marker`` follow from the cause."""

    number: int
    name: str
    key: str
    boot_id: str
    socket: str
    stopped: float
    recorded: float
    cause: str
    why: str
    pid: int | None = None
    started: float | None = None
    name_hex: str | None = None
    qemu: str = ""
    evidence: dict[str, Any] = {}


_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_ENCODER: Final = msgspec.json.Encoder()


def as_dict(stop: stops.Stop) -> dict[str, Any]:
    """Return the stop as the JSON object described above."""
    kept = names.to_column(stop.name)
    row = {
        "version": VERSION,
        "number": stop.number,
        "name": stop.name,
        "name_hex": kept.hex() if isinstance(kept, bytes) else None,
        "key": stop.key,
        "boot_id": stop.boot_id,
        "socket": stop.socket,
        "pid": stop.pid,
        "started": stop.started,
        "stopped": stop.stopped,
        "recorded": stop.recorded,
        "cause": stop.cause.value,
        "meaning": stop.cause.meaning,
        "marker": stop.cause.leaves_marker,
        "why": stop.why,
        "qemu": stop.qemu,
        "evidence": msgspec.to_builtins(stop.evidence),
    }
    readable = names.all_readable(row)
    assert isinstance(readable, dict)  # noqa: S101 - an object stays one
    return readable


def stop_from(row: object) -> stops.Stop:
    """Return the stop that such an object tells of; raises `errors.Damaged` if it is none.

    A cause or evidence that is not known here, from a newer node, say, does not make it one: the
    cause is then ``unknown``, and the evidence names itself as missing.
    """
    try:
        read = msgspec.convert(row, _Row)
    except msgspec.ValidationError as error:
        raise errors.Damaged(f"this is not a stop: {error}") from error
    why, evidence = read.why, evidences.Evidence()
    try:
        cause = causes.Cause(read.cause)
    except ValueError:
        cause, why = causes.Cause.UNKNOWN, f"{read.cause!r}, which is no known cause: {why}"
    try:
        evidence = msgspec.convert(read.evidence, evidences.Evidence)
    except msgspec.ValidationError:
        evidence = evidences.Evidence(missing=("the evidence, which is not legible here",))
    try:
        name = read.name if read.name_hex is None else os.fsdecode(bytes.fromhex(read.name_hex))
    except ValueError:
        name = read.name
    return stops.Stop(
        name=name,
        key=read.key,
        boot_id=read.boot_id,
        socket=read.socket,
        pid=read.pid,
        started=read.started,
        stopped=read.stopped,
        recorded=read.recorded,
        cause=cause,
        why=why,
        evidence=evidence,
        qemu=read.qemu,
        number=read.number,
    )


def as_json(stop: stops.Stop) -> bytes:
    """Return the object as one line of JSON in UTF-8, without a line feed."""
    return _ENCODER.encode(as_dict(stop))


def as_environment(stop: stops.Stop) -> dict[str, str]:
    r"""Return ``GANETI_STOP_*`` for a hook. Unknown values are empty, times are plain seconds.

    The name is exact, bytes that are not UTF-8 included; in other values control characters are
    written ``\xNN``, so that every value is one line and can be an environment variable.
    """
    evidence = stop.evidence
    intent = evidence.intent
    values = {
        "NUMBER": stop.number,
        "KEY": stop.key,
        "CAUSE": stop.cause.value,
        "MEANING": stop.cause.meaning,
        "MARKER": "yes" if stop.cause.leaves_marker else "no",
        "WHY": stop.why,
        "PID": stop.pid,
        "STARTED": stop.started,
        "STOPPED": stop.stopped,
        "RECORDED": stop.recorded,
        "QEMU": stop.qemu,
        "SOCKET": stop.socket,
        "BOOT_ID": stop.boot_id,
        "ATTACHMENT": evidence.attachment.value,
        "EXIT": "" if evidence.exit is None else evidence.exit,
        "INTENT": "" if intent is None else intent.kind.value,
        "JOB": None if intent is None else intent.job,
    }
    found = {f"GANETI_STOP_{key}": _one_line(value) for key, value in values.items()}
    found["GANETI_STOP_NAME"] = names.from_column(names.to_column(stop.name)).replace("\0", "\\x00")
    return found


def _one_line(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", names.readable(str(value)))
