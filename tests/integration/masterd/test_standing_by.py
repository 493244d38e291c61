"""What is asked of a daemon that stands by is answered by the one that leads, through real TLS."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import carriers, clusters, luxiservers, nodedaemons
from pyganeti.base import errors, paths
from pyganeti.clients import luxi, luxichannel
from pyganeti.clients import node as nodeclient
from pyganeti.masterd.backing import backing
from pyganeti.masterd.server import forwarding, server, switching
from pyganeti.wire import luxi as messages
from pyganeti.wire import reasontrail

DELAY = carriers.opcode(duration=0.2)
PATIENCE = 1.5


@dataclass
class Standby:
    """A daemon that stands by, a real node daemon before the one that leads, and a client."""

    layout: paths.Paths
    leading: luxiservers.Running
    noded: nodedaemons.Noded
    switch: switching.Switch
    client: luxi.Client
    leader: list[backing.Leader | None] = field(default_factory=list)
    door: server.Server | None = None


@contextlib.asynccontextmanager
async def led(leading: luxiservers.Running) -> AsyncIterator[server.Server]:
    """Have the leader's socket be there."""
    path = leading.layout.leader_socket
    doors = server.Server([path], leading.table, group=luxiservers.GROUP, relay=path)
    async with doors as door:
        yield door


@pytest.fixture
async def standby(short_dir: Path) -> AsyncIterator[Standby]:
    layout = paths.Paths(short_dir / "two", "node2.example.com")
    layout.state_dir.mkdir(parents=True)
    layout.ssconf("master_node").write_text("node1.example.com\n")
    noded = nodedaemons.Noded(short_dir / "one")
    with noded:
        async with contextlib.AsyncExitStack() as stack:
            leading = await stack.enter_async_context(
                luxiservers.started(short_dir / "one", clusters.small())
            )
            caller = nodeclient.Caller(noded.context(), port=noded.port)
            await stack.enter_async_context(caller)
            leader: list[backing.Leader | None] = [
                backing.Leader("node1.example.com", "127.0.0.1", 7)
            ]
            standing_by = forwarding.Forwarding(caller, lambda: leader[0])
            switch = switching.Switch(standing_by, patience=PATIENCE)
            await stack.enter_async_context(
                server.Server(
                    [layout.query_socket], switch, group=luxiservers.GROUP, node=layout.node_name
                )
            )
            client = stack.enter_context(luxi.Client(layout, luxichannel.Patience(restart=0.1)))
            yield Standby(layout, leading, noded, switch, client, leader)


async def ask(function: Any, *words: Any) -> Any:
    return await asyncio.to_thread(function, *words)


async def test_questions_deeds_and_waits_are_answered_as_the_leader_does(standby: Standby) -> None:
    async with led(standby.leading):
        info = await ask(standby.client.query_cluster_info)
        assert info["name"] == "cluster.example.com"
        job = await ask(standby.client.submit, [DELAY])
        assert standby.leading.queue.numbers == [job]
        assert await ask(standby.client.wait, job) == [None]
        with pytest.raises(errors.BadInput):
            await ask(standby.client.query_instances, ["web1"], ["no-such-field"])


async def test_a_bare_word_of_the_leader_comes_through_as_it_is(standby: Standby) -> None:
    async with led(standby.leading):
        with standby.leading.client() as client, pytest.raises(errors.Failure) as direct:
            await ask(client.call, "QueryJobs", 1)
        with pytest.raises(errors.Failure) as handed_on:
            await ask(standby.client.call, "QueryJobs", 1)
    assert str(handed_on.value) == str(direct.value)


async def test_what_found_no_leader_waits_for_one_and_is_done_once(standby: Standby) -> None:
    submitting = asyncio.create_task(ask(standby.client.submit, [DELAY]))
    await asyncio.to_thread(
        standby.noded.wait_log, "answered", "call=master_request"
    )  # it came to a node where nobody leads
    assert standby.leading.queue.numbers == []
    async with led(standby.leading):
        job = await submitting
        assert standby.leading.queue.numbers == [job]


async def test_nobody_leads_for_long_and_that_is_said(standby: Standby) -> None:
    standby.leader[0] = None
    begun = time.monotonic()
    with pytest.raises(errors.Failure, match=r"no master daemon leads.*it was not done"):
        await ask(standby.client.submit, [DELAY])
    assert PATIENCE <= time.monotonic() - begun < PATIENCE + 5


async def test_a_leader_that_dies_over_a_deed_has_nobody_do_it_again(standby: Standby) -> None:
    path = standby.leading.layout.leader_socket
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def die() -> bytes:
            listening.settimeout(10)
            taken, _ = listening.accept()
            with taken:
                return taken.recv(100_000)

        dying = asyncio.create_task(asyncio.to_thread(die))
        with pytest.raises(errors.Failure, match="may be done: see gnt-job list"):
            await ask(standby.client.submit, [DELAY])
        assert b"SubmitJob" in await dying
    path.unlink()
    assert standby.leading.queue.numbers == []


async def test_a_question_that_was_broken_off_is_asked_again_of_the_next_leader(
    standby: Standby,
) -> None:
    standby.noded.kill()
    asking = asyncio.create_task(ask(standby.client.query_cluster_info))
    await asyncio.sleep(0)
    async with standby.switch.hosted(standby.leading.table):  # this one takes over itself
        info = await asking
    assert info["name"] == "cluster.example.com"


async def test_who_is_deposed_breaks_off_what_was_begun(standby: Standby) -> None:
    standby.leader[0] = None

    class Slow:
        def __init__(self) -> None:
            self.begun = asyncio.Event()

        def is_question(self, request: messages.Request) -> bool:
            return request.method.startswith("Query")

        async def perform(self, request: messages.Request) -> Any:
            self.begun.set()
            await asyncio.get_running_loop().create_future()

    slow = Slow()
    async with standby.switch.hosted(slow) as hosting:
        deed = asyncio.create_task(ask(standby.client.archive, 1))
        await slow.begun.wait()
        hosting.depose()
    with pytest.raises(errors.Failure, match="may be done: see gnt-job list"):
        await deed


async def test_more_requests_than_there_are_places_are_answered_all_the_same(
    standby: Standby,
) -> None:
    async with led(standby.leading):
        job = await ask(standby.client.submit, [DELAY | {"duration": 1.0}])

        def wait() -> list[Any]:
            with luxi.Client(standby.layout) as client:
                return client.wait(job)

        with futures.ThreadPoolExecutor(12) as pool:
            loop = asyncio.get_running_loop()
            found = await asyncio.gather(*(loop.run_in_executor(pool, wait) for _ in range(12)))
        assert found == [[None]] * 12


async def test_a_job_that_was_handed_on_is_signed_where_it_came_from(standby: Standby) -> None:
    async with led(standby.leading):
        job = await ask(standby.client.submit, [DELAY])
        [[[kept]]] = await ask(standby.client.query_jobs, [job], ["ops"])
    told = [text for source, text, _ in kept["reason"] if source == reasontrail.PEER]
    found = reasontrail.peer_of(kept["reason"])
    assert len(told) == 1
    assert found is not None
    assert (found.pid, found.uid, found.node) == (os.getpid(), os.getuid(), "node2.example.com")
