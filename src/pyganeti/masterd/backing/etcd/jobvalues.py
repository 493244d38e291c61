"""A job as a value in etcd, which may not be as long as a file. Pure.

A short job is its file. A long one is shortened and packed: of what an opcode said much, the
beginning and the end are kept, and a line in between that says how much is left out; then all of it
is compressed. Of what is longer even then results are left out, and said to be, since how a job
ended must be written in any case; a new one that is as long is refused.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.wire import jobfile

SHORT: Final = 128 << 10
"""Bytes of a job that is kept as it is."""

LOG: Final = 64 << 10
"""Bytes of one opcode's log that are kept of a job that is not short."""

LONGEST: Final = 1 << 20
"""Bytes of a value."""

_BARE: Final = 512
"""Bytes of an opcode's log, and of its result, that are kept of a job that does not fit else."""

_TEXT: Final = 4 << 10
"""Characters of one line that is kept."""

_UNPACKED: Final = jobfile.SIZE_LIMIT
_PACKED: Final = b"\x78"
_FEWEST: Final = 2


def pack(data: bytes, *, is_new: bool = False) -> bytes:
    """Return the value of a job; raises BadInput if it is too long for one.

    A new one may have half of what one may have that is under way, which has more to say.
    """
    if len(data) <= SHORT:
        return data
    value = b""
    for shorten in (_with_short_logs, _without_results, _bare):
        value = _compressed(shorten(data))
        if len(value) <= LONGEST / (2 if is_new else 1):
            return value
    raise errors.BadInput(
        f"The job has {len(data)} bytes, {len(value)} when they are packed, which is more than etcd"
        " takes of one; split it"
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


def decode_all(
    values: Mapping[int, bytes],
) -> tuple[dict[int, jobfile.Job], dict[int, errors.Failure]]:
    """Return the jobs in these values, and why others hold none. Takes its time."""
    jobs: dict[int, jobfile.Job] = {}
    broken: dict[int, errors.Failure] = {}
    for number, value in values.items():
        try:
            jobs[number] = jobfile.decode(unpack(value), number)
        except errors.Failure as error:
            broken[number] = error
    return jobs, broken


def shortened(log: Sequence[jobfile.LogEntry], most: int = LOG) -> tuple[jobfile.LogEntry, ...]:
    """Return the beginning and the end of a log that has more than so many bytes."""
    sizes = [len(msgspec.json.encode(entry)) for entry in log]
    if sum(sizes) <= most:
        return tuple(log)
    line = min(_TEXT, most)
    if len(log) <= _FEWEST:
        return tuple(_short_line(entry, line) for entry in log)
    first = _count(sizes, most // 2, line)
    last = min(_count(reversed(sizes), most // 2, line), len(log) - first)
    end = log[len(log) - last :]
    if first + last >= len(log):
        return tuple(_short_line(entry, line) for entry in log)
    left_out = log[first : len(log) - last]
    serial, when, _, _ = left_out[-1]
    words = f"({len(left_out)} lines are left out here: they are too many to be kept in etcd)"
    said = (serial, when, "message", words)
    return (
        *(_short_line(entry, line) for entry in log[:first]),
        said,
        *(_short_line(entry, line) for entry in end),
    )


def _count(sizes: Iterable[int], room: int, line: int) -> int:
    """Return how many lines of these sizes fit into the room: one at least."""
    count = 0
    for size in sizes:
        room -= min(size, line)
        if room < 0 and count:
            break
        count += 1
    return count


def _short_line(entry: jobfile.LogEntry, most: int) -> jobfile.LogEntry:
    serial, when, kind, text = entry
    if isinstance(text, str) and len(text) > most:
        return (serial, when, kind, f"{text[:most]} (and {len(text) - most} characters more)")
    return entry


def _with_short_logs(data: bytes) -> bytes:
    return _shortened_job(data, LOG, None)


def _without_results(data: bytes) -> bytes:
    return _shortened_job(data, LOG, LOG)


def _bare(data: bytes) -> bytes:
    """Return a job with the ends of its logs, and none but the shortest results."""
    return _shortened_job(data, _BARE, _BARE)


def _shortened_job(data: bytes, most_log: int, most_result: int | None) -> bytes:
    job = msgspec.json.decode(data, type=jobfile.Job, strict=False)
    ops = []
    for op in job.ops:
        size = len(msgspec.json.encode(op.result))
        result = op.result
        if most_result is not None and size > most_result:
            said = f"(a result of {size} bytes is left out: it is too long to be kept in etcd)"
            result = ["OpExecError", [said]] if op.status is jobfile.Status.ERROR else said
        log = shortened(op.log, most_log)
        ops.append(msgspec.structs.replace(op, log=log, result=result))
    return jobfile.encode(msgspec.structs.replace(job, ops=tuple(ops)))


def _compressed(data: bytes) -> bytes:
    return zlib.compress(data, 1)
