"""The recovering part as a whole, with nodes that say what they are told to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lab import answeringnodes, clusters, luxiservers
from pyganeti.clients import luxitasks
from pyganeti.clients import node as nodeclient
from pyganeti.model import cause, evidence
from pyganeti.model import stop as stops
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.recovery.settings import GAVE_UP
from pyganeti.watcher import events
from pyganeti.watcher.recovery import moments, recoverer
from pyganeti.wire import stoprow

NODE = "node1.example.com"
ONE_NODE = clusters.small(nodes=1)


class Journal:
    """A node's journal: it waits for news where it is asked to."""

    def __init__(self) -> None:
        self.identity = "j"
        self.rows: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        self.followed = asyncio.Event()

    async def answer(self, mark: str | None, patience: float, limit: int) -> dict[str, Any]:
        while True:
            identity, _, number = (mark or f"{self.identity}:0").partition(":")
            anew = identity not in {"end", self.identity}
            after = len(self.rows) if mark == "end" else 0 if anew else int(number)
            if self.rows[after:] or not patience:
                break
            self.followed.set()
            self.news.clear()
            await self.news.wait()
        found = self.rows[after : after + limit]
        return {
            "rows": found,
            "mark": f"{self.identity}:{after + len(found)}",
            "more": False,
            "kvmd": True,
            "journal": "there",
            "anew": "another journal" if anew else "",
        }

    def stop(self, name: str, recorded: float) -> None:
        stop = stops.Stop(
            name=name,
            key=f"{name} at {recorded}",
            boot_id="b",
            socket="s",
            pid=1,
            started=1.0,
            stopped=recorded,
            recorded=recorded,
            cause=cause.Cause.KILLED,
            why="",
            evidence=evidence.Evidence(),
            number=len(self.rows) + 1,
        )
        self.rows.append(stoprow.as_dict(stop))
        self.news.set()


class Listener:
    """Keeps of which stops it was told."""

    def __init__(self) -> None:
        self.stopped: list[str] = []

    async def on_event(self, event: events.Event) -> None:
        if event.kind is events.Kind.STOPPED:
            self.stopped.append(event.key)

    async def wait_last(self, key: str) -> None:
        async with asyncio.timeout(20):
            while self.stopped[-1:] != [key]:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.005)


@dataclass
class Scene:
    """The node, and whom to ask for jobs."""

    nodes: answeringnodes.Answering
    master: luxitasks.Client

    async def looked(self) -> None:
        """Wait until the node was looked at once more, and another time has begun."""
        before = len(self.nodes.calls("all_instances_info"))
        async with asyncio.timeout(20):
            while len(self.nodes.calls("all_instances_info")) < before + 2:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.005)

    async def opcodes(self, kind: str) -> list[dict[str, Any]]:
        """Return the opcodes of a kind that were submitted."""
        rows = await self.master.query("job", ["ops"])
        return [opcode for [several] in rows for opcode in several if opcode["OP_ID"] == kind]


@contextlib.asynccontextmanager
async def recovered(
    root: Path,
    journal: Journal,
    listener: Listener,
    *,
    clock: moments.Clock | None = None,
    snapshot: Snapshot = ONE_NODE,
    sweep: float = 30.0,
) -> AsyncIterator[Scene]:
    """Have a recoverer run in a cluster of one node, whose instances all run."""
    async with (
        answeringnodes.started(snapshot.nodes.values()) as nodes,
        nodes.asking() as asking,
        luxiservers.started(root, snapshot, asking=asking) as running,
        nodeclient.Caller(None, port=nodes.port) as caller,
    ):
        nodes.play(snapshot)
        nodes.say(NODE, "instance_stops", journal.answer)
        nodes.say(NODE, "instance_last_stops", {})
        made = recoverer.Recoverer(
            running.layout, caller, listeners=[listener], clock=clock, sweep=sweep
        )
        master = luxitasks.Client(running.layout)
        task = asyncio.create_task(made.run())
        try:
            async with asyncio.timeout(20):
                await journal.followed.wait()
            yield Scene(nodes, master)
        finally:
            nodes.go_on()
            nodes.held.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            master.close()


async def test_stops_are_told_though_the_nodes_clock_is_set_back(short_dir: Path) -> None:
    journal, listener = Journal(), Listener()
    async with recovered(short_dir, journal, listener):
        for name, recorded in (("a", 9000.0), ("b", 5000.0), ("c", 5001.0)):
            journal.stop(name, recorded)
            await listener.wait_last(f"{name} at {recorded}")
    assert listener.stopped == ["a at 9000.0", "b at 5000.0", "c at 5001.0"]


async def test_stops_that_another_journal_has_again_are_told_once(short_dir: Path) -> None:
    journal, listener = Journal(), Listener()
    async with recovered(short_dir, journal, listener):
        journal.stop("a", 5000.0)
        await listener.wait_last("a at 5000.0")
        journal.identity = "another"
        journal.stop("b", 6000.0)
        await listener.wait_last("b at 6000.0")
    assert listener.stopped == ["a at 5000.0", "b at 6000.0"]


async def test_news_from_a_node_that_hangs_do_not_keep_the_loop_busy(short_dir: Path) -> None:
    journal, listener = Journal(), Listener()
    turns = 0

    def steady() -> float:
        nonlocal turns
        turns += 1
        return time.monotonic()

    clock = moments.Clock(steady=steady)
    async with recovered(short_dir, journal, listener, clock=clock) as scene:
        first, second, *_ = (one.name for one in ONE_NODE.instances.values())
        scene.nodes.hang(NODE, "all_instances_info")
        journal.stop(first, 1.0)
        await listener.wait_last(f"{first} at 1.0")
        journal.stop(second, 2.0)
        await listener.wait_last(f"{second} at 2.0")
        before = turns
        await asyncio.sleep(0.1)  # what it does meanwhile is counted
        assert turns - before < 50


async def test_a_day_of_health_forgives_once(short_dir: Path) -> None:
    first, *_ = ONE_NODE.instances.values()
    tag = f"{GAVE_UP}1700000000"
    snapshot = clusters.replaced(ONE_NODE, msgspec.structs.replace(first, tags=(tag,)))
    passed = 0.0
    clock = moments.Clock(steady=lambda: time.monotonic() + passed)
    async with recovered(
        short_dir, Journal(), Listener(), clock=clock, snapshot=snapshot, sweep=0.02
    ) as scene:
        await scene.looked()
        passed = 86000.0
        await scene.looked()
        assert await scene.opcodes("OP_TAGS_DEL") == []
        passed = 86500.0
        async with asyncio.timeout(20):
            while not await scene.opcodes("OP_TAGS_DEL"):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.005)
        await scene.looked()
        [opcode] = await scene.opcodes("OP_TAGS_DEL")
        assert (opcode["kind"], opcode["name"], opcode["tags"]) == ("instance", first.name, [tag])
        assert await scene.opcodes("OP_INSTANCE_STARTUP") == []


async def test_health_begins_anew_with_every_fall(short_dir: Path) -> None:
    first, *_ = ONE_NODE.instances.values()
    tags = (f"{GAVE_UP}1700000000",)
    snapshot = clusters.replaced(ONE_NODE, msgspec.structs.replace(first, tags=tags))
    passed = 0.0
    clock = moments.Clock(steady=lambda: time.monotonic() + passed)
    async with recovered(
        short_dir, Journal(), Listener(), clock=clock, snapshot=snapshot, sweep=0.02
    ) as scene:
        await scene.looked()
        passed = 50_000.0
        scene.nodes.say(NODE, "all_instances_info", {})
        await scene.looked()
        scene.nodes.play(snapshot)
        await scene.looked()
        passed = 100_000.0
        await scene.looked()
        await scene.looked()
        assert await scene.opcodes("OP_TAGS_DEL") == []
