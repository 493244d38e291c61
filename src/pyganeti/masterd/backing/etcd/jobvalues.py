"""A job as a value in etcd, which may not be as long as a file. Pure.

A short job is its file. A long one is shortened and packed: of what an opcode said much, the
beginning and the end are kept, and a line in between that says how much is left out; then all of it
is compressed. What is longer even then is refused, unless the job has run: then its results are
left out, and said to be, since how it ended must be written in any case.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.wire import jobfile

SHORT: Final = 128 << 10
"""Bytes of a job that is kept as it is."""

LOG: Final = 64 << 10
"""Bytes of one opcode's log that are kept of a job that is not short."""

LONGEST: Final = 1 << 20
"""Bytes of a value."""

_TEXT: Final = 4 << 10
"""Characters of one line that is kept."""

_UNPACKED: Final = jobfile.SIZE_LIMIT
_PACKED: Final = b"\x78"
_FEWEST: Final = 2


def pack(data: bytes) -> bytes:
    """Return the value of a job; raises BadInput if it is too long for one."""
    if len(data) <= SHORT:
        return data
    value = _compressed(_with_short_logs(data))
    if len(value) <= LONGEST:
        return value
    value = _compressed(_without_results(data))
    if len(value) <= LONGEST:
        return value
    raise errors.BadInput(
        f"The job has {len(data)} bytes, which is more than etcd takes of one; split it"
    )


def unpack(value: bytes) -> bytes:
    """Return the file of a job; raises Damaged if the value is none."""
    if not value.startswith(_PACKED):
        return value
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(value, _UNPACKED)
    except zlib.error as error:
        raise errors.Damaged(f"this is no job: {error}") from error
    if not unpacking.eof:
        raise errors.Damaged("this is no job: it is cut off, or has no end")
    return data


def shortened(log: Sequence[jobfile.LogEntry], most: int = LOG) -> tuple[jobfile.LogEntry, ...]:
    """Return the beginning and the end of a log that has more than so many bytes."""
    sizes = [len(msgspec.json.encode(entry)) for entry in log]
    if sum(sizes) <= most or len(log) <= _FEWEST:
        return tuple(map(_short_line, log)) if sum(sizes) > most else tuple(log)
    first = _count(sizes, most // 2)
    last = min(_count(reversed(sizes), most // 2), len(log) - first)
    if first + last >= len(log):
        return tuple(log)
    left_out = log[first : len(log) - last]
    serial, when, _, _ = left_out[-1]
    words = f"({len(left_out)} lines are left out here: they are too many to be kept in etcd)"
    said = (serial, when, "message", words)
    end = log[len(log) - last :]
    return (*map(_short_line, log[:first]), said, *map(_short_line, end))


def _count(sizes: Any, room: int) -> int:  # noqa: ANN401 - an iterable of numbers, either way round
    """Return how many fit into the room: one at least."""
    count = 0
    for size in sizes:
        room -= min(size, _TEXT)
        if room < 0 and count:
            break
        count += 1
    return count


def _short_line(entry: jobfile.LogEntry) -> jobfile.LogEntry:
    serial, when, kind, text = entry
    if isinstance(text, str) and len(text) > _TEXT:
        return (serial, when, kind, f"{text[:_TEXT]} (and {len(text) - _TEXT} characters more)")
    return entry


def _with_short_logs(data: bytes) -> bytes:
    job = msgspec.json.decode(data, type=jobfile.Job, strict=False)
    ops = [msgspec.structs.replace(op, log=shortened(op.log)) for op in job.ops]
    return jobfile.encode(msgspec.structs.replace(job, ops=tuple(ops)))


def _without_results(data: bytes) -> bytes:
    job = msgspec.json.decode(data, type=jobfile.Job, strict=False)
    ops = []
    for op in job.ops:
        size = len(msgspec.json.encode(op.result))
        result = op.result
        if size > LOG:
            said = f"(a result of {size} bytes is left out: it is too long to be kept in etcd)"
            result = ["OpExecError", [said]] if op.status is jobfile.Status.ERROR else said
        ops.append(msgspec.structs.replace(op, log=shortened(op.log), result=result))
    return jobfile.encode(msgspec.structs.replace(job, ops=tuple(ops)))


def _compressed(data: bytes) -> bytes:
    return zlib.compress(data, 1)
