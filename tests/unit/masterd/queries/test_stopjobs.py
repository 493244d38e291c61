"""Which jobs bear on a stop, in queues and archives of any order of events."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import examples
from pyganeti.masterd.jobs import fields as jobfields
from pyganeti.masterd.queries import stopjobs
from pyganeti.model import evidence, intent
from pyganeti.wire import jobfile, reasontrail
from pyganeti.wire.stopjobs import Bearing

T = 1_700_000_000
STOP = examples.a_stop(1, name="web1.example.com", stopped=float(T))


def a_job(
    number: int,
    received: float,
    *,
    ended: float | None = None,
    name: str | None = "web1.example.com",
    trail: Sequence[Any] = (),
    **parameters: Any,
) -> jobfile.Job:
    described: dict[str, Any] = {"OP_ID": "OP_INSTANCE_STARTUP", "reason": list(trail)}
    if name is not None:
        described["instance_name"] = name
    return jobfile.Job(
        id=number,
        ops=(
            jobfile.Opcode(
                input=described | parameters,
                status=jobfile.Status.RUNNING if ended is None else jobfile.Status.SUCCESS,
            ),
        ),
        received_timestamp=moment(received),
        end_timestamp=None if ended is None else moment(ended),
    )


def moment(at: float) -> jobfile.Timestamp:
    return int(at), round(at % 1 * 1e6)


@dataclasses.dataclass
class Kept:
    """Jobs as a queue has them: those up to a number are in the archive."""

    jobs: dict[int, jobfile.Job]
    archived: int = 0
    looks: int = 0

    @property
    def numbers(self) -> list[int]:
        return [number for number in sorted(self.jobs) if number > self.archived]

    async def archived_numbers(self) -> list[int]:
        return [number for number in self.jobs if number <= self.archived]

    async def get(
        self, job_ids: Sequence[int] | None = None, *, archived: bool = False
    ) -> list[tuple[int, jobfields.Found | None]]:
        assert archived, "whoever looks back looks into the archive"
        self.looks += 1
        return [
            (number, jobfields.Found(self.jobs[number]) if number in self.jobs else None)
            for number in job_ids or ()
        ]


def kept(*jobs: jobfile.Job, archived: int = 0) -> Kept:
    return Kept({job.id: job for job in jobs}, archived)


async def bearings(queue: Kept, stop: Any = STOP, until: float | None = None) -> dict[int, Bearing]:
    return {job.id: job.bearing for job in await stopjobs.bearing_on(queue, stop, until)}


async def test_jobs_have_to_do_with_a_stop_in_different_ways() -> None:
    announced = intent.Intent(kind=intent.IntentKind.KILL, pid=1, deadline=T + 9, job=3)
    stop = msgspec.structs.replace(STOP, evidence=evidence.Evidence(intent=announced))
    text = reasontrail.recovery_text(reasontrail.Recovery("killed", 1, STOP.key))
    queue = kept(
        a_job(1, T - 250, ended=T - 200),
        a_job(2, T - 100),
        a_job(3, T - 90, ended=T + 1),
        a_job(4, T + 1, trail=[["gnt:watcher", text, 1]], name=None, names=["x"]),
        a_job(5, T + 2, trail=[["gnt:watcher", "by Ganeti's", 1]]),
        a_job(6, T + 3, name="web1"),
        a_job(7, T + 4, name="web2.example.com"),
        a_job(8, T + 5, name=None, instances=[{"instance_name": "web1.example.com"}]),
        a_job(9, T + 6, OP_ID="OP_INSTANCE_QUERY_DATA"),
        a_job(10, T + 7, trail=[["gnt:watcher", text.replace(STOP.key, "another"), 1]]),
        a_job(11, T + 60),
        archived=4,
    )
    found = await bearings(queue, stop, until=T + 30.0)
    assert found == {
        2: Bearing.DURING,
        3: Bearing.ENDED,
        4: Bearing.RECOVERY,
        5: Bearing.RECOVERY,
        6: Bearing.AFTER,
        8: Bearing.AFTER,
    }


async def test_of_many_jobs_the_first_and_the_last_are_told() -> None:
    queue = kept(*(a_job(number, T + number, ended=T + number) for number in range(1, 101)))
    assert list(await bearings(queue)) == [*range(1, 11), *range(91, 101)]


async def test_a_long_history_is_not_read_to_find_a_moment_in_it() -> None:
    jobs = [a_job(number, T - 100_000 + number, ended=T) for number in range(1, 100_201)]
    queue = kept(*(job for job in jobs if job.id % 7), archived=90_000)
    found = await bearings(queue)
    assert max(found) <= 100_200
    assert queue.looks < 60


async def test_what_is_told_is_bounded() -> None:
    log = tuple((n, moment(T + n), "message", "x" * 1000) for n in range(30))
    op = jobfile.Opcode(
        input={"OP_ID": "OP_NOBODY_KNOWS", "instance_name": "web1", "reason": ["nonsense", 5]},
        status=jobfile.Status.ERROR,
        result=["OpExecError", ["y" * 1000]],
        log=log,
    )
    job = jobfile.Job(id=1, ops=(op,), received_timestamp=moment(T + 1))
    [told] = await stopjobs.bearing_on(kept(job), STOP, None)
    assert (told.summary, told.status, told.reason) == (["NOBODY_KNOWS"], "error", [])
    assert len(told.log) == 10
    assert {len(line) for _, line in told.log} == {501}
    assert told.error is not None
    assert len(told.error) == 501


@pytest.mark.parametrize("archived", [0, 20, 40])
@given(gaps=st.lists(st.integers(0, 120), max_size=40), gone=st.sets(st.integers(1, 40)))
async def test_none_is_missed_that_came_after(
    archived: int, gaps: list[int], gone: set[int]
) -> None:
    at, jobs = T - 2000, []
    for number, gap in enumerate(gaps, 1):
        at += gap
        jobs.append(a_job(number, at, ended=at))
    queue = kept(*(job for job in jobs if job.id not in gone), archived=archived)
    expected = {job.id for job in queue.jobs.values() if (job.received_timestamp or (0, 0))[0] >= T}
    found = set(await bearings(queue))
    assert found == expected or (len(expected) > 20 and found < expected)
