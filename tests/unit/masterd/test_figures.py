"""What a whole daemon does not show in a moment: who leaves, nodes that go, clocks that jump."""

import asyncio
from typing import Any

import pytest

from lab import clusters, scraping
from pyganeti.base import errors
from pyganeti.masterd import figures
from pyganeti.masterd.election import leadership
from pyganeti.masterd.locks import manager
from pyganeti.metrics import page as pages
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import jobfile, luxi
from pyganeti.wire.jobfile import Status


class _Methods:
    """Answers as it is asked to."""

    async def perform(self, request: luxi.Request) -> Any:
        match request.args:
            case "wait":
                await asyncio.Event().wait()
            case "fail":
                raise errors.BadInput("no")
        return request.args

    def is_question(self, request: luxi.Request) -> bool:
        return request.method == "Query"


class _Leading:
    """A leadership that ends by itself."""

    epoch = 7
    is_lost = False
    lease_left = 3.5

    def __init__(self) -> None:
        self.standing = leadership.Standing(leadership.State.SUSPENDED, 5.0, "nobody answers")

    def check(self) -> None: ...
    async def assure(self) -> None: ...
    async def lost(self) -> str:
        return ""

    def follow(self, follower: leadership.Follower) -> None: ...


class _Told:
    def __init__(self) -> None:
        self.page = pages.Page("masterd", "0")
        self.counted = figures.Figures(self.page)

    async def read(self) -> scraping.Figures:
        return scraping.read((await self.page.text()).decode())

    def reign(self, snapshot: Snapshot, *statuses: Status) -> figures.Reign:
        return figures.Reign(
            leading=_Leading(),
            snapshot=lambda: snapshot,
            locks=manager.Manager(),
            statuses=lambda: iter(statuses),
            is_drained=lambda: True,
        )


@pytest.fixture
async def told() -> _Told:
    return _Told()


async def test_requests_are_counted_when_answered_and_not_when_their_client_leaves(
    told: _Told,
) -> None:
    counted = told.counted.counted(_Methods())
    assert counted.is_question(luxi.Request("Query", []))
    assert await counted.perform(luxi.Request("Query", "x")) == "x"
    with pytest.raises(errors.BadInput):
        await counted.perform(luxi.Request("Query", "fail"))
    waiting = asyncio.create_task(counted.perform(luxi.Request("Query", "wait")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    found = await told.read()
    assert found.value("ganeti_masterd_request_seconds_count", method="Query") == 2
    assert found.value("ganeti_masterd_requests_failed_total", method="Query") == 1


async def test_nodes_that_are_gone_go_with_their_figures(told: _Told) -> None:
    snapshot = clusters.small(nodes=2)
    kept, gone = clusters.node(0).name, "node9.example.com"
    for node in (kept, gone):
        told.counted.called(node, "version", 0.1, "timeout")
    told.counted.called(kept, "version", 0.1, "")
    failures = "ganeti_masterd_rpc_failures_total"
    with told.counted.during(told.reign(snapshot)):
        await told.read()  # forgets, while others are being told
        found = await told.read()
    assert found.values(failures, "node") == {kept: 1}
    assert found.value("ganeti_masterd_rpc_seconds_count", call="version") == 3


async def test_a_reign_is_told_of_while_it_lasts_and_its_lease(told: _Told) -> None:
    with told.counted.during(told.reign(clusters.small(), Status.RUNNING, Status.ERROR)):
        found = await told.read()
        assert found.values("ganeti_masterd_standing", "state")["suspended"] == 1
        assert found.value("ganeti_masterd_lease_seconds") == 3.5
        assert found.value("ganeti_masterd_epoch") == 7
        assert found.value("ganeti_masterd_queue_drained") == 1
        jobs = found.values("ganeti_masterd_jobs", "status")
        assert {status: count for status, count in jobs.items() if count} == {
            "running": 1,
            "error": 1,
        }
    found = await told.read()
    assert found.values("ganeti_masterd_standing", "state")["standby"] == 1
    assert found.value("ganeti_masterd_lease_seconds") is None
    assert not found.families.keys() & {"ganeti_masterd_jobs", "ganeti_masterd_nodes"}


async def test_a_job_that_ends_before_it_began_by_the_clock_took_no_time(told: _Told) -> None:
    op = jobfile.Opcode(
        input={"OP_ID": "OP_OF_TOMORROW", "reason": "garbage"},
        status=Status.SUCCESS,
        priority=0,
        exec_timestamp=(1_000, 0),
        end_timestamp=(900, 5),
    )
    job = jobfile.Job(id=1, ops=(op,), received_timestamp=(2_000, 0))
    told.counted.ended(job, Status.SUCCESS)
    told.counted.ended(jobfile.Job(id=2, ops=()), Status.CANCELED)
    found = await told.read()
    assert found.value("ganeti_masterd_opcode_seconds_sum", opcode="other") == 0
    assert found.value("ganeti_masterd_job_wait_seconds_sum") == 0
    ended = found.values("ganeti_masterd_jobs_ended_total", "status")
    assert ended == {"success": 1, "canceled": 1, "error": 0}
