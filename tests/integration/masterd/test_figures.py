"""A real master daemon's figures, scraped as Prometheus does."""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import clusters, masterdaemons, scraping
from lab.etcd import etcds, keeping
from pyganeti.base import errors
from pyganeti.clients import luxi
from pyganeti.metrics import address as addresses
from pyganeti.model.opcodes import base, table, testing
from pyganeti.model.opcodes import instance as instances
from pyganeti.model.opcodes import tags as tagging
from pyganeti.model.recovery import settings as recoveries
from pyganeti.wire import reasontrail


@dataclass
class _Daemon:
    client: luxi.Client
    address: addresses.Address

    def run(self, *opcodes: base.Opcode) -> None:
        """Have a job carried out, well or not."""
        job = self.client.submit([table.to_wire(op) for op in opcodes])
        with contextlib.suppress(errors.Failure):
            self.client.wait(job)

    async def figures(self) -> scraping.Figures:
        return await scraping.scrape(self.address)


@pytest.fixture
def daemon(short_dir: Path) -> Iterator[_Daemon]:
    begun = clusters.small(nodes=3, instances=4)
    here = clusters.node(0, primary_ip="127.0.0.1", secondary_ip="127.0.0.1")
    offline = clusters.node(2, offline=True, master_candidate=False)
    down = clusters.instance(1, admin_state="down")
    snapshot = clusters.replaced(begun, here, offline, down)
    with (
        masterdaemons.started(short_dir, snapshot, metrics="127.0.0.1:0") as started,
        luxi.Client(started.layout) as client,
    ):
        yield _Daemon(client, _address(short_dir))


@pytest.fixture
def etcd_daemon(short_dir: Path) -> Iterator[_Daemon]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    snapshot = clusters.replaced(
        clusters.small(nodes=1, instances=1),
        clusters.node(0, primary_ip="127.0.0.1", secondary_ip="127.0.0.1"),
    )
    with (
        etcds.here(tls=True) as etcd,
        masterdaemons.started(
            short_dir, snapshot, keeping.before(snapshot, etcd), metrics="127.0.0.1:0"
        ) as started,
        luxi.Client(started.layout) as client,
    ):
        yield _Daemon(client, _address(short_dir))


def _address(directory: Path) -> addresses.Address:
    said = (directory / "masterd.log").read_text()
    found = re.search(r"the figures can be had address=(\S+)", said)
    assert found is not None
    address = addresses.parse(found[1])
    assert address is not None
    return address


def _trail(cause: str, attempt: int = 1) -> list[reasontrail.Entry]:
    words = reasontrail.recovery_text(reasontrail.Recovery(cause, attempt, "key"))
    return [(reasontrail.WATCHER, words, time.time_ns())]


async def test_jobs_requests_calls_and_the_cluster_are_told(daemon: _Daemon) -> None:
    daemon.run(testing.TestDelay(duration=0.001))
    daemon.run(testing.TestDelay(duration=0.001), testing.TestDummy(fail=True, messages=[]))
    with pytest.raises(errors.Failure):
        daemon.client.query("no such thing", [])
    stopped = clusters.instance(1).name
    daemon.run(
        instances.InstanceStartup(instance_name=stopped, only_if_down=True, reason=_trail("killed"))
    )
    daemon.run(
        tagging.TagsSet(
            kind="instance",
            name=stopped,
            tags=[recoveries.gave_up_tag(1e9)],
            reason=_trail("of tomorrow", 5),
        )
    )
    holding = testing.TestDelay(duration=60.0, no_locks=False)
    jobs = [daemon.client.submit([table.to_wire(holding)]) for _ in range(2)]
    waiting = "ganeti_masterd_lock_waiters"
    async with asyncio.timeout(20):
        while (found := await daemon.figures()).value(waiting) != 1:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    for job in reversed(jobs):
        daemon.client.cancel(job, kill=True)
    assert scraping.differences(found, "masterd") == []

    assert found.value("ganeti_masterd_jobs_submitted_total") == 6
    assert found.values("ganeti_masterd_jobs_ended_total", "status") == {
        "success": 3,
        "error": 1,
        "canceled": 0,
    }
    assert found.values("ganeti_masterd_jobs", "status") == {
        "queued": 0,
        "waiting": 1,
        "canceling": 0,
        "running": 1,
        "canceled": 0,
        "success": 3,
        "error": 1,
    }
    worked = found.values("ganeti_masterd_opcode_seconds_count", "opcode")
    assert worked["OP_TEST_DELAY"] == 2
    assert found.value("ganeti_masterd_job_wait_seconds_count") == 4
    assert found.values("ganeti_masterd_opcodes_failed_total", "opcode") == {"OP_TEST_DUMMY": 1}
    assert found.value("ganeti_masterd_queue_drained") == 0
    assert (found.value("ganeti_masterd_locks_held") or 0) >= 1

    name = "ganeti_masterd_recoveries_total"
    assert found.value(name, what="restart", cause="killed", status="success") == 1
    assert found.value(name, what="give-up", cause="unknown", status="success") == 1
    assert found.value("ganeti_masterd_instances_given_up") == 1

    roles = found.values("ganeti_masterd_nodes", "role")
    assert roles == {"master": 1, "candidate": 0, "regular": 1, "drained": 0, "offline": 1}
    states = found.values("ganeti_masterd_instances", "admin_state")
    assert states == {"up": 3, "down": 1, "offline": 0}
    assert (found.value("ganeti_masterd_config_serial") or 0) > 1
    assert time.time() - 60 < (found.value("ganeti_masterd_config_timestamp_seconds") or 0)

    requests = found.values("ganeti_masterd_request_seconds_count", "method")
    assert requests["SubmitJob"] == 6
    assert found.values("ganeti_masterd_requests_failed_total", "method") == {"Query": 1}
    assert found.value("ganeti_masterd_clients") == 1
    # Nobody listens where the node daemon of this node would.
    failures = found.families["ganeti_masterd_rpc_failures"].samples
    assert {sample.labels["how"] for sample in failures} == {"unreached"}

    assert found.values("ganeti_masterd_standing", "state") == {
        "standby": 0,
        "leading": 1,
        "suspended": 0,
        "deposed": 0,
    }
    assert found.value("ganeti_masterd_store_info", kind="files") == 1
    assert found.value("ganeti_masterd_lease_seconds") is None


async def test_a_cluster_in_etcd_tells_of_its_lease_and_of_the_way_there(
    etcd_daemon: _Daemon,
) -> None:
    async with asyncio.timeout(20):
        while True:
            found = await etcd_daemon.figures()
            if found.value("ganeti_masterd_standing", state="leading") == 1:
                break
            await asyncio.sleep(0.02)
    await asyncio.to_thread(etcd_daemon.run, testing.TestDelay(duration=0.001))
    found = await etcd_daemon.figures()
    assert scraping.differences(found, "masterd") == []
    assert found.value("ganeti_masterd_store_info", kind="etcd") == 1
    assert found.value("ganeti_masterd_epoch") == 1
    assert 0 < (found.value("ganeti_masterd_lease_seconds") or 0) < 10
    assert (found.value("ganeti_masterd_store_calls_total") or 0) > 5
    assert 0 < (found.value("ganeti_masterd_store_call_seconds") or 0) < 5
    assert found.value("ganeti_masterd_store_undecided_total") == 0
    assert found.values("ganeti_masterd_jobs_ended_total", "status")["success"] == 1
