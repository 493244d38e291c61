"""Exchanges that were recorded with a real Ganeti 3.0.2, had again with our server."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab import answeringnodes, clusters, luxiservers
from pyganeti.wire import jobfile, luxi
from pyganeti.wire.jobfile import Status

GOLDEN = Path(__file__).parents[1] / "golden/luxi"
EXCHANGES = sorted(
    path.stem for path in GOLDEN.glob("*.json") if "m" in json.loads(path.read_text())
)
FIELDS = sorted(path.stem for path in GOLDEN.glob("fields-*.json"))
NOW = 1795241600.0
RECEIVED = (1795241591, 463434)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def jobs() -> dict[int, jobfile.Job]:
    """Return the jobs that were in the queue when the exchanges were had, as they show them."""
    started = golden("queryjobs")["r"]["result"][0][2][0]
    log = golden("wfjc")["r"]["result"][1]
    return {
        1: jobfile.Job(
            1,
            (jobfile.Opcode(started, Status.SUCCESS),),
            received_timestamp=(1795241559, 259603),
            end_timestamp=(1795241560, 0),
        ),
        2: jobfile.Job(
            2,
            (
                jobfile.Opcode(
                    {"OP_ID": "OP_CLUSTER_SET_PARAMS", "reason": []},
                    Status.SUCCESS,
                    log=tuple((n, (s, us), kind, text) for n, (s, us), kind, text in log),
                ),
            ),
            received_timestamp=RECEIVED,
            end_timestamp=(1795241593, 0),
        ),
        3: jobfile.Job(
            3,
            (
                jobfile.Opcode(
                    {
                        "OP_ID": "OP_INSTANCE_CREATE",
                        "instance_name": "k1.example.com",
                        "mode": "create",
                        "disks": [],
                        "nics": [],
                        "reason": [],
                    },
                    Status.ERROR,
                ),
            ),
            received_timestamp=(1795241592, 763982),
            end_timestamp=(1795241593, 0),
        ),
    }


@pytest.fixture
async def running(
    short_dir: Path, request: pytest.FixtureRequest
) -> AsyncIterator[luxiservers.Running]:
    queue = short_dir / "var/lib/ganeti/queue"
    (queue / "archive/0").mkdir(parents=True)
    for number, job in jobs().items():
        is_archived = number == 1 and "query-job" in request.node.name
        place = queue / "archive/0" if is_archived else queue
        (place / f"job-{number}").write_bytes(jobfile.encode(job))
    (queue / "serial").write_text("3\n")
    snapshot = clusters.recorded()
    async with (
        answeringnodes.started(snapshot.nodes.values()) as nodes,
        nodes.asking() as asking,
        luxiservers.started(short_dir, snapshot, asking=asking, clock=lambda: NOW) as started,
    ):
        alive = {"memory": 128, "vcpus": 1, "state": 0, "time": 0}
        hypervisor = {"memory_free": 23590, "cpu_total": 2}
        storage = {"type": "file", "name": "/x", "storage_free": 79927, "storage_size": 99999}
        nodes.say("node1.example.com", "all_instances_info", {"instance1.example.com": alive})
        nodes.say("node1.example.com", "node_info", ["boot", [storage], [hypervisor]])
        yield started


async def ask(running: luxiservers.Running, method: str, args: Any) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(running.layout.query_socket))
    writer.write(luxi.encode_request(method, args))
    answer = json.loads((await reader.readuntil(luxi.END))[:-1])
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("name", EXCHANGES)
async def test_an_exchange_is_had_again(running: luxiservers.Running, name: str) -> None:
    recorded = golden(name)
    answer = await ask(running, recorded["m"], recorded["a"])
    if name == "clusterinfo":
        for told in (answer, recorded["r"]):
            assert told["result"].pop("vcs_version")
        assert list(answer["result"]) == list(recorded["r"]["result"])
    if recorded["m"] == "Query" and answer["success"]:
        for described in answer["result"]["fields"]:
            assert described.pop("doc")
    assert answer == recorded["r"]


@pytest.mark.parametrize("name", FIELDS)
async def test_fields_are_described_as_they_were(running: luxiservers.Running, name: str) -> None:
    """Fields of our own, which the units' tests name, may stand among Ganeti's."""
    answer = await ask(running, "QueryFields", [name.removeprefix("fields-"), None])
    for described in answer["result"]["fields"]:
        assert described.pop("doc")
    recorded = golden(name)
    theirs = {one["name"] for one in recorded["result"]["fields"]}
    told = answer["result"]["fields"]
    answer["result"]["fields"] = [one for one in told if one["name"] in theirs]
    assert answer == recorded


def test_both_sockets_have_ganetis_mode(running: luxiservers.Running) -> None:
    for path in (running.layout.query_socket, running.layout.master_socket):
        assert path.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
