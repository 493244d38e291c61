import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from lab import carriers, clusters, luxiservers
from pyganeti.base import errors, paths
from pyganeti.clients import luxichannel, luxitasks
from pyganeti.masterd.jobs import work
from pyganeti.wire import luxierrors


class Failing(luxiservers.Working):
    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:
        if opcode["OP_ID"] == "OP_CLUSTER_VERIFY":
            await run.begin()
            raise errors.BadInput("it makes no sense", "wrong_state")
        return await super().perform(opcode, run)


@pytest_asyncio.fixture
async def running(short_dir: Path) -> AsyncIterator[luxiservers.Running]:
    async with luxiservers.started(short_dir, clusters.small(), carrier=Failing()) as made:
        yield made


@pytest.fixture
def master(running: luxiservers.Running) -> luxitasks.Client:
    return luxitasks.Client(running.layout)


async def test_many_ask_at_once_and_wait_for_their_jobs(master: luxitasks.Client) -> None:
    async def one(seconds: float) -> str:
        job = await master.submit([carriers.opcode(duration=seconds)])
        assert await master.wait(job) == "success"
        return str((await master.query("job", ["status"], ["=", "id", job]))[0][0])

    async with asyncio.timeout(30):
        found = await asyncio.gather(*(one(0.2 if number % 2 else 0.001) for number in range(20)))
    assert found == ["success"] * 20
    master.close()


async def test_a_job_that_failed_says_with_what(master: luxitasks.Client) -> None:
    job = await master.submit([{"OP_ID": "OP_CLUSTER_VERIFY", "reason": []}])
    assert await master.wait(job) == "error"
    with pytest.raises(errors.BadInput, match="makes no sense") as raised:
        await master.results(job)
    assert raised.value.code == "wrong_state"
    with pytest.raises(luxierrors.JobLost):
        await master.results(job + 7)
    with pytest.raises(luxierrors.JobLost):
        await master.wait(job + 7)
    master.close()


async def test_one_that_is_refused_keeps_nobody_from_asking(
    master: luxitasks.Client,
) -> None:
    with pytest.raises(errors.Failure):
        await master.query("no such thing", ["name"])
    assert await master.query("node", ["name"])
    master.close()


async def test_a_daemon_that_was_started_anew_is_asked_on_a_new_connection(
    short_dir: Path,
) -> None:
    layout = paths.Paths(short_dir, clusters.small().master.name)
    master = luxitasks.Client(layout)
    for _ in range(2):
        async with luxiservers.started(short_dir, clusters.small()):
            assert await master.query("node", ["name"])
        with pytest.raises((luxichannel.NotRunning, luxichannel.Silent)):
            await master.query("node", ["name"])
    master.close()


async def test_who_is_to_be_asked_is_told_where_nobody_is(short_dir: Path) -> None:
    layout = paths.Paths(short_dir, "node2.example.com")
    with pytest.raises(luxichannel.NotCluster):
        await luxitasks.Client(layout).call("QueryClusterInfo")
    layout.state_dir.mkdir(parents=True)
    layout.ssconf("master_node").write_text("node1.example.com\n")
    with pytest.raises(luxichannel.NotMaster):
        await luxitasks.Client(layout).call("QueryClusterInfo")


@contextlib.asynccontextmanager
async def answering(root: Path, answer: bytes | None) -> AsyncIterator[luxitasks.Client]:
    """Have somebody there who answers so, or not at all, and hangs up when he is hung up on."""
    talks: list[asyncio.Task[Any]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(cast("asyncio.Task[Any]", asyncio.current_task()))
        await reader.readuntil(b"\3")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    layout = paths.Paths(root, "node1.example.com")
    layout.query_socket.parent.mkdir(parents=True)
    async with await asyncio.start_unix_server(talk, layout.query_socket):
        yield luxitasks.Client(layout)
        await asyncio.gather(*talks)


@pytest.mark.parametrize("answer", [b"garbage\3", b'{"success": true}\3', b""])
async def test_garbage_and_silence_are_failures(short_dir: Path, answer: bytes) -> None:
    async with answering(short_dir, answer) as master:
        with pytest.raises((luxierrors.Protocol, luxichannel.Silent)):
            await master.call("QueryClusterInfo")


async def test_one_that_does_not_answer_is_not_waited_for_for_ever(short_dir: Path) -> None:
    async with answering(short_dir, None) as master:
        with pytest.raises(luxichannel.Silent, match="has not answered"):
            await master.call("QueryClusterInfo", patience=0.05)
