import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from lab import answeringnodes, clusters
from pyganeti.base import errors
from pyganeti.clients import node as nodeclient
from pyganeti.model import cause, evidence
from pyganeti.model import stop as stops
from pyganeti.watcher.recovery import following
from pyganeti.wire import stoprow

NAME = "node1.example.com"


def row(number: int) -> dict[str, Any]:
    return stoprow.as_dict(
        stops.Stop(
            name=f"web{number}",
            key=f"k{number}",
            boot_id="b",
            socket="s",
            pid=1,
            started=1.0,
            stopped=2.0,
            recorded=3.0,
            cause=cause.Cause.KILLED,
            why="",
            evidence=evidence.Evidence(),
            number=number,
        )
    )


class Node:
    """A node with a journal: it answers at once, and waits where it is asked to."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.kvmd = True
        self.journal = "there"
        self.identity = "j"
        self.failures: list[errors.Failure] = []
        self.news = asyncio.Event()

    async def answer(self, mark: str | None, patience: float, limit: int) -> dict[str, Any]:
        self.asked.append([mark, patience])
        if self.failures:
            raise self.failures.pop(0)
        identity, _, number = (mark or f"{self.identity}:0").partition(":")
        anew = "another journal" if identity not in {"end", self.identity} else ""
        after = len(self.rows) if mark == "end" else 0 if anew else int(number)
        while not self.rows[after:] and patience:
            self.news.clear()
            await self.news.wait()
        found = self.rows[after : after + 2]
        return {
            "rows": found,
            "mark": None if self.journal == "none" else f"{self.identity}:{after + len(found)}",
            "more": after + len(found) < len(self.rows),
            "kvmd": self.kvmd,
            "journal": self.journal,
            "anew": anew,
        }

    def stop(self, *rows: Any) -> None:
        self.rows += rows
        self.news.set()


class Taken:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.marks: list[str | None] = []
        self.again: list[bool] = []

    def __call__(
        self, node: str, found: tuple[stops.Stop, ...], mark: str | None, *, again: bool
    ) -> None:
        self.names += [stop.name for stop in found]
        self.marks.append(mark)
        self.again.append(again)

    async def wait(self, *names: str) -> None:
        async with asyncio.timeout(20):
            while self.names != list(names):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def nodes() -> AsyncIterator[answeringnodes.Answering]:
    async with answeringnodes.started(clusters.small(nodes=1).nodes.values()) as made:
        yield made


@pytest_asyncio.fixture
async def caller(nodes: answeringnodes.Answering) -> AsyncIterator[nodeclient.Caller]:
    async with nodeclient.Caller(None, port=nodes.port) as made:
        yield made


@pytest.fixture
def node(nodes: answeringnodes.Answering) -> Node:
    made = Node()
    nodes.say(NAME, "instance_stops", made.answer)
    return made


@contextlib.asynccontextmanager
async def followed(
    caller: nodeclient.Caller, taken: Taken, mark: str | None = None
) -> AsyncIterator[following.Following]:
    one = following.Following(NAME, clusters.address(0), caller, mark=mark, taken=taken)
    task = asyncio.create_task(one.run())
    try:
        async with asyncio.timeout(20):
            await one.begun.wait()
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_that_was_never_read_is_followed_from_now_on(
    node: Node, caller: nodeclient.Caller
) -> None:
    node.rows = [row(1), row(2)]
    taken = Taken()
    async with followed(caller, taken) as one:
        node.stop(row(3))
        await taken.wait("web3")
        assert not one.is_blind
    assert node.asked[0] == ["end", 0.0]
    assert node.asked[1][0] == "j:2"


async def test_one_that_was_read_is_followed_from_there(
    node: Node, caller: nodeclient.Caller
) -> None:
    node.rows = [row(number) for number in range(1, 7)]
    taken = Taken()
    async with followed(caller, taken, "j:1"):
        await taken.wait("web2", "web3", "web4", "web5", "web6")
    assert taken.marks == ["j:3", "j:5", "j:6"]


async def test_what_another_journal_tells_may_have_been_told_before(
    node: Node, caller: nodeclient.Caller
) -> None:
    node.identity = "k"
    node.rows = [row(1), row(2), row(3)]
    taken = Taken()
    async with followed(caller, taken, "j:3"):
        await taken.wait("web1", "web2", "web3")
        node.stop(row(4))
        await taken.wait("web1", "web2", "web3", "web4")
    assert taken.marks == ["k:2", "k:3", "k:4"]
    assert taken.again == [True, True, False]


async def test_one_without_a_journal_is_followed_from_its_first_stop(
    node: Node, caller: nodeclient.Caller
) -> None:
    node.journal = "none"
    taken = Taken()
    async with followed(caller, taken) as one:
        assert one.is_blind
        node.journal = "there"
        node.stop(row(1))
        await taken.wait("web1")
        assert not one.is_blind


async def test_one_whose_kvmd_does_not_run_is_blind(node: Node, caller: nodeclient.Caller) -> None:
    node.kvmd = False
    async with followed(caller, Taken()) as one:
        assert one.is_blind


async def test_one_that_fails_is_asked_again_and_nothing_is_missed(
    node: Node, caller: nodeclient.Caller
) -> None:
    node.failures = [errors.Failure("the disk hangs"), errors.Exhausted("too many wait")]
    node.rows = [row(1)]
    taken = Taken()
    async with followed(caller, taken, "j:0") as one:
        assert one.is_blind
        await taken.wait("web1")


async def test_one_of_ganetis_has_no_such_call_and_is_blind(
    nodes: answeringnodes.Answering, caller: nodeclient.Caller
) -> None:
    nodes.lack(NAME, "instance_stops")
    async with followed(caller, Taken()) as one:
        assert one.is_blind


async def test_garbage_is_a_failure_and_a_row_of_it_is_passed_over(
    node: Node, caller: nodeclient.Caller
) -> None:
    node.rows = [{"name": 5}, row(2)]
    taken = Taken()
    async with followed(caller, taken, "j:0"):
        await taken.wait("web2")


async def test_catching_up_takes_what_is_there_and_returns(
    node: Node, caller: nodeclient.Caller
) -> None:
    node.rows = [row(number) for number in range(1, 6)]
    taken = Taken()
    one = following.Following(NAME, clusters.address(0), caller, mark="j:0", taken=taken)
    await one.catch_up()
    assert taken.names == ["web1", "web2", "web3", "web4", "web5"]
    node.failures = [errors.Failure("it hangs")]
    await one.catch_up()
