"""Which jobs bear on a stop: the one that ended the instance, and what was done about it after.

Jobs have their numbers in the order in which they were submitted; so those after a stop are found
by halves, in the queue and in the archive, and no more than `_MOST` of them are looked through. One
that is not legible is passed over. The stop has its node's time and jobs the master's: where those
differ, a job from around the stop may be told of as before or after it; the watcher's name it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

from pyganeti.masterd.jobs import fields as jobfields
from pyganeti.masterd.queries import jobs
from pyganeti.model.stop import Stop
from pyganeti.wire import luxierrors, reasontrail, stopjobs
from pyganeti.wire.stopjobs import Bearing

_MOST: Final = 2000
"""Jobs that are looked through for one stop."""

_BEFORE: Final = 300.0
"""Seconds before a stop from which on jobs are looked at: they may have been under way then."""

_BATCH: Final = 100
_KEPT: Final = 20
"""Jobs that are told of one stop: the first ones, and the last."""


async def bearing_on(queue: jobs.Queue, stop: Stop, until: float | None) -> list[stopjobs.Job]:
    """Return the jobs that bear on a stop, by number; ``until`` is when the next one was, if any.

    Times are seconds since 1970.
    """
    found: dict[int, stopjobs.Job] = {}
    intent = stop.evidence.intent
    if intent is not None and intent.job is not None:
        for number, job in await queue.get([intent.job], archived=True):
            if job is not None:
                found[number] = told(job, Bearing.ENDED)
    async for number, job in _from(queue, stop.stopped - _BEFORE):
        received = _seconds(job.job.received_timestamp)
        if received is not None and until is not None and received > until:
            break
        if number not in found and (relation := _relation(job, stop)) is not None:
            found[number] = told(job, relation)
    return _some([found[number] for number in sorted(found)])


_ONLY_LOOKING: Final = frozenset({"OP_INSTANCE_CONSOLE", "OP_INSTANCE_QUERY_DATA"})


def _relation(found: jobfields.Found, stop: Stop) -> Bearing | None:
    for op in found.job.ops:
        trail = op.input.get("reason")
        recovery = reasontrail.recovery_of(trail)
        if recovery is not None and recovery.stop:
            return Bearing.RECOVERY if recovery.stop == stop.key else None
        if is_about(op.input, stop.name):
            received = _seconds(found.job.received_timestamp) or 0.0
            if received >= stop.stopped:
                is_watchers = reasontrail.is_watchers(trail)
                return Bearing.RECOVERY if is_watchers else Bearing.AFTER
            ended = _seconds(found.job.end_timestamp)
            return Bearing.DURING if ended is None or ended >= stop.stopped else None
    return None


def is_about(opcode: Mapping[str, Any], name: str) -> bool:
    """Tell whether an opcode does something to an instance, named in full or by its first parts."""
    if opcode.get("OP_ID") in _ONLY_LOOKING:
        return False
    return any(_is(given, name) for given in _named(opcode))


def _named(opcode: Mapping[str, Any]) -> Iterator[object]:
    yield opcode.get("instance_name")
    listed = opcode.get("instances")
    for one in listed if isinstance(listed, list) else ():
        yield one.get("instance_name") if isinstance(one, Mapping) else one


def _is(given: object, name: str) -> bool:
    if not isinstance(given, str) or not given:
        return False
    return given == name or name.startswith(f"{given}.")


def told(found: jobfields.Found, bearing: Bearing) -> stopjobs.Job:
    """Return what is told of a job."""
    job = found.job
    lines = [
        (_seconds(at) or 0.0, _cut(text if isinstance(text, str) else str(text)))
        for op in job.ops
        for _, at, _, text in op.log
    ]
    failed = [op.result for op in job.ops if op.status.value == "error"]
    return stopjobs.Job(
        id=job.id,
        bearing=bearing,
        status=str(jobfields.FIELDS["status"](found)),
        summary=[jobfields.summary(op.input) for op in job.ops],
        received=_seconds(job.received_timestamp),
        started=_seconds(job.start_timestamp),
        ended=_seconds(job.end_timestamp),
        reason=[list(entry) for entry in reasontrail.entries(job.ops[0].input.get("reason"))],
        log=lines[-stopjobs.MOST_LINES :],
        error=_cut(_words(failed[0])) if failed else None,
    )


def _words(result: object) -> str:
    if luxierrors.looks_encoded(result):
        return str(luxierrors.decode(result))
    return str(result)


def _cut(text: str) -> str:
    return text if len(text) <= stopjobs.MOST_TEXT else text[: stopjobs.MOST_TEXT] + "…"


def _seconds(moment: tuple[int, int] | None) -> float | None:
    return None if moment is None else moment[0] + moment[1] / 1e6


def _some(found: list[stopjobs.Job]) -> list[stopjobs.Job]:
    half = _KEPT // 2
    return found if len(found) <= _KEPT else [*found[:half], *found[-half:]]


async def _from(queue: jobs.Queue, moment: float) -> AsyncIterator[tuple[int, jobfields.Found]]:
    """Yield numbers and jobs that were received after a moment, in their order."""
    numbers = queue.numbers
    first = await _received(queue, numbers[0]) if numbers else None
    if first is None or first > moment:
        numbers = sorted({*numbers, *await queue.archived_numbers()})
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        received = await _received(queue, numbers[middle])
        if received is not None and received < moment:
            low = middle + 1
        else:
            high = middle
    for begin in range(low, min(len(numbers), low + _MOST), _BATCH):
        for number, job in await queue.get(numbers[begin : begin + _BATCH], archived=True):
            if job is not None:
                yield number, job
        await asyncio.sleep(0)


async def _received(queue: jobs.Queue, number: int) -> float | None:
    [(_, found)] = await queue.get([number], archived=True)
    return None if found is None else _seconds(found.job.received_timestamp)
