"""Debian's own Ganeti 3.0 (packages ganeti-3.0, ganeti-htools-3.0) pointed at our socket."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from lab import answeringnodes, carriers, clusters, jobs, luxiservers
from pyganeti.masterd.jobs import queue
from pyganeti.masterd.locks import levels

COMMANDS: Final = Path("/usr/share/ganeti/3.0")
HTOOLS: Final = Path("/usr/lib/ganeti/3.0/usr/bin")
PATIENCE: Final = 40.0

needs_commands = pytest.mark.skipif(
    not (COMMANDS / "gnt-instance").exists(), reason="needs Debian's package ganeti-3.0"
)
needs_htools = pytest.mark.skipif(
    not (HTOOLS / "hinfo").exists(), reason="needs Debian's package ganeti-htools-3.0"
)


@pytest.fixture
async def running(short_dir: Path) -> AsyncIterator[luxiservers.Running]:
    snapshot = clusters.furnished()
    # Ganeti wants the root of a node among several to be named after it.
    root = short_dir / snapshot.master.name
    (root / "var/log/ganeti").mkdir(parents=True)
    async with (
        answeringnodes.started(snapshot.nodes.values()) as nodes,
        nodes.asking() as asking,
        luxiservers.started(root, snapshot, asking=asking) as started,
    ):
        nodes.play(snapshot)
        yield started


async def run(running: luxiservers.Running, program: Path, *arguments: str) -> tuple[int, str]:
    """Run one of Debian's programs; return how it ended and what it said."""
    environment = {
        **os.environ,
        "GANETI_ROOTDIR": str(running.layout.root),
        "GANETI_HOSTNAME": running.layout.node_name,
        "LC_ALL": "C.UTF-8",
    }
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode()


async def gnt(running: luxiservers.Running, *arguments: str) -> str:
    """Run a command that succeeds; return what it said."""
    code, output = await run(running, COMMANDS / f"gnt-{arguments[0]}", *arguments[1:])
    assert code == 0, output
    return output


def plain(output: str) -> list[list[str]]:
    return [line.split("|") for line in output.splitlines()]


@needs_commands
async def test_gnt_instance_lists_what_runs(running: luxiservers.Running) -> None:
    output = await gnt(running, "instance", "list")
    assert "Hypervisor" in output
    fields = "name,pnode,snodes,status,oper_ram,be/memory,disk.sizes,nic.networks.names,tags"
    rows = plain(
        await gnt(
            running, "instance", "list", "--no-headers", "--separator=|", "--units=m", "-o", fields
        )
    )
    assert rows[0] == [
        "web1.example.com", "node1.example.com", "", "running", "256", "256", "1024", "['net1']",
        "some,tag",
    ]  # fmt: skip
    assert [row[:3] for row in rows[1:3]] == [
        ["web2.example.com", "node2.example.com", "node3.example.com"],
        ["web3.example.com", "node3.example.com", ""],
    ]


@needs_commands
async def test_gnt_instance_understands_our_conditions(running: luxiservers.Running) -> None:
    listing = [COMMANDS / "gnt-instance", "list", "--no-headers", "-o", "name"]

    async def matching(*condition: str) -> tuple[int, list[str]]:
        program, *words = map(str, listing)
        code, output = await run(running, Path(program), *words, *condition)
        return code, output.split()

    expected = {
        ("web1",): "1",
        ("web*",): "1234",
        ("--filter", 'name == "web2"'): "2",
        ("--filter", 'name =~ m/^WEB[12]/i and status == "running"'): "12",
        ("--filter", "be/memory > 255 and not admin_up"): "",
        ("--filter", '"some" in tags and pnode == "node1"'): "14",
        ("--filter", "oper_ram >= 256"): "1234",
        ("--filter", 'name != "web2" and (hypervisor == "kvm" or disks_active)'): "134",
    }
    found = await asyncio.gather(*(matching(*condition) for condition in expected))
    assert found == [(0, [f"web{n}.example.com" for n in names]) for names in expected.values()]
    code, words = await matching("--filter", 'snodes == "node2"')
    assert code == 1
    assert "Invalid types in comparison" in " ".join(words)


@needs_commands
async def test_gnt_instance_says_when_there_is_no_such_one(running: luxiservers.Running) -> None:
    code, output = await run(running, COMMANDS / "gnt-instance", "list", "nosuch")
    assert code == 1
    assert "unknown_entity" in output
    code, output = await run(running, COMMANDS / "gnt-instance", "list", "-o", "name,nosuch")
    assert code == 14
    assert "nosuch" in output


@needs_commands
async def test_gnt_commands_list_everything_else(running: luxiservers.Running) -> None:
    nodes = await gnt(running, "node", "list", "--no-headers", "--separator=|", "--units=m")
    assert plain(nodes)[2] == [
        "node3.example.com", "99999", "90000", "16384", "1024", "12000", "1", "1"
    ]  # fmt: skip
    expected = {
        ("group", "list"): "default",
        ("network", "list"): "10.0.0.0/29",
        ("filter", "list"): "PAUSE",
        ("cluster", "info"): "cluster.example.com",
        ("cluster", "getmaster"): "node1.example.com",
        ("instance", "list-tags", "web1"): "some",
        ("instance", "list-fields"): "oper_vcpus",
        ("node", "list-fields"): "sptotal",
        ("job", "list-fields"): "received_ts",
    }
    outputs = await asyncio.gather(*(gnt(running, *words) for words in expected))
    for word, output in zip(expected.values(), outputs, strict=True):
        assert word in output


@needs_commands
async def test_gnt_job_follows_a_job(running: luxiservers.Running) -> None:
    assert "unset" in await gnt(running, "cluster", "queue", "info")
    # A delay on the master is Debian's own opcode, carried through our queue and back.
    await gnt(running, "debug", "delay", "0.05")
    submitted = await gnt(running, "debug", "delay", "--submit", "0.05")
    assert submitted.split()[-1] == "2"
    followed = await gnt(running, "job", "watch", "2")
    assert "it takes 0.05 s" in followed
    listed = plain(
        await gnt(
            running, "job", "list", "--no-headers", "--separator=|", "-o", "id,status,summary"
        )
    )
    assert listed == [["1", "success", "TEST_DELAY"], ["2", "success", "TEST_DELAY"]] or [
        row[:2] for row in listed
    ] == [["1", "success"], ["2", "success"]]
    assert "Status: success" in await gnt(running, "job", "info", "2")
    assert "Archived 2 jobs" in await gnt(running, "job", "autoarchive", "all")


@needs_commands
async def test_gnt_debug_shows_who_holds_a_lock(running: luxiservers.Running) -> None:
    held = await running.locks.acquire(
        "7", {levels.Level.INSTANCE: levels.exclusive(["web1.example.com"])}
    )
    output = await gnt(running, "debug", "locks")
    held.release()
    [line] = [line for line in output.splitlines() if "web1" in line]
    assert line.split()[:3] == ["instance/web1.example.com", "exclusive", "7"]


@needs_htools
async def test_htools_read_the_cluster(running: luxiservers.Running) -> None:
    code, output = await run(running, HTOOLS / "hinfo", "-L", "-p")
    assert code == 0, output
    assert "Loaded 3 nodes, 4 instances" in output
    code, output = await run(running, HTOOLS / "hbal", "-L", "-p")
    assert code == 0, output
    assert "Loaded 3 nodes, 4 instances" in output
    code, output = await run(running, HTOOLS / "hcheck", "-L")
    assert "Cluster" in output


needs_classes = pytest.mark.skipif(
    not (COMMANDS / "ganeti/jqueue").is_dir(), reason="needs Debian's package ganeti-3.0"
)
_READ_A_JOB: Final = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ganeti import jqueue
data = json.load(open(sys.argv[2]))
job = jqueue._QueuedJob.Restore(None, data, True, False)
print(json.dumps([job.CalcStatus(), job.CalcPriority(), job.Serialize()]))
"""


@needs_classes
@pytest.mark.parametrize("stage", ["queued", "running", "ended"])
async def test_its_job_class_reads_our_files_at_every_stage(tmp_path: Path, stage: str) -> None:
    place = tmp_path / "queue"
    carrier = carriers.Carrier()
    async with queue.Queue(place, carrier, limit=lambda: 1, livelock_dir=tmp_path) as found:
        first = await found.submit([carriers.opcode("hold log=hi"), carriers.opcode("fail")])
        await carrier.arrived("begin", first)
        second = await found.submit([carriers.opcode(priority=-10, depends=[[first, ["error"]]])])
        if stage == "ended":
            carrier.let_go(first)
            await jobs.ended(found, first, second)
        number = second if stage == "queued" else first
        expected = {"queued": ["queued", -10], "running": ["running", 0], "ended": ["error", 0]}
        data = (place / f"job-{number}").read_bytes()
        kept = tmp_path / "job"  # as it is now: what it says is written a moment later
        kept.write_bytes(data)
        read = await asyncio.to_thread(
            subprocess.run,
            ["/usr/bin/python3", "-c", _READ_A_JOB, str(COMMANDS), str(kept)],
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
        state, priority, again = json.loads(read.stdout)
        assert [state, priority] == expected[stage]
        assert again == json.loads(data)
        carrier.let_go(first)
        await jobs.ended(found, first, second)


_PYTHON_FIELDS: Final = """
import json, sys
sys.path.insert(0, "/usr/share/ganeti/3.0")
from ganeti import query
told = {
    what: {name: [d.title, d.kind] for name, (d, _, _, _) in query.ALL_FIELDS[what].items()}
    for what in ("cluster", "os", "extstorage")
}
print(json.dumps(told))
"""


@needs_commands
async def test_what_ganeti_answers_in_jobs_has_the_same_fields(
    running: luxiservers.Running,
) -> None:
    code, output = await run(running, Path("/usr/bin/python3"), "-c", _PYTHON_FIELDS)
    assert code == 0, output
    for what, theirs in json.loads(output).items():
        ours = running.engine.query_fields(what)["fields"]
        assert {field["name"]: [field["title"], field["kind"]] for field in ours} == theirs
