"""Stops of the whole cluster, from nodes that answer from real journals over HTTP."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import answeringnodes, clusters, examples, journals
from pyganeti.base import errors
from pyganeti.masterd.queries import engine
from pyganeti.model import cause, evidence, intent, stop
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.noded.stops import reading
from pyganeti.wire import stopanswers, stoprow

NODE1, NODE2, NODE3, NODE4 = (f"node{number}.example.com" for number in range(1, 5))
BORN = float(int(time.time()) - 20_000)
"""When it all began, lately: journals forget what is old."""


class Journals:
    """Nodes, and what is in the journal of each."""

    def __init__(self, nodes: answeringnodes.Answering, place: Path) -> None:
        self.nodes = nodes
        self.place = place

    async def record(self, node: str, *stops: stop.Stop, runs: bool = True) -> None:
        """Have a node answer from a journal that has these stops."""
        path = self.place / f"{node}.sqlite"
        with journals.observed(path) as found:
            await found.record(*stops)
        self.answer(node, path, runs=runs)

    def answer(self, node: str, path: Path, *, runs: bool) -> None:
        """Have a node answer from what there is of a journal at a place."""

        def opened() -> reading.Reading:
            return reading.Reading(path, lambda: runs)

        def all_stops(mark: str | None, patience: float, limit: int, wanted: Any) -> object:
            told = msgspec.convert(wanted, stopanswers.Filter)
            with contextlib.closing(opened()) as read:
                return msgspec.to_builtins(read.stops(reading.Asked(mark, limit, told)))

        def last_stops(names: list[str]) -> object:
            with contextlib.closing(opened()) as read:
                return msgspec.to_builtins(read.last_stops(names))

        self.nodes.say(node, "instance_stops", all_stops)
        self.nodes.say(node, "instance_last_stops", last_stops)


def ended(number: int, name: str, at: float, **changes: Any) -> stop.Stop:
    return examples.a_stop(
        number, name=f"{name}.example.com", stopped=BORN + at, recorded=BORN + at, **changes
    )


@pytest.fixture
def snapshot() -> Snapshot:
    return clusters.replaced(
        clusters.small(nodes=4),
        clusters.instance(0, ctime=BORN),
        clusters.node(2, offline=True),
        clusters.node(3, vm_capable=False),
    )


@pytest.fixture
async def known(snapshot: Snapshot, tmp_path: Path) -> AsyncIterator[Journals]:
    async with answeringnodes.started(snapshot.nodes.values()) as nodes:
        yield Journals(nodes, tmp_path)


@pytest.fixture
async def asking(make_engine: Any, snapshot: Snapshot, known: Journals) -> AsyncIterator[Any]:
    async with known.nodes.asking() as calling:
        yield make_engine(snapshot, nodes=calling)


async def told(asking: engine.Engine, fields: str, condition: Any = None) -> list[list[Any]]:
    answer = await asking.query("stop", fields.split(), condition)
    return [[value for _, value in row] for row in answer["data"]]


async def test_stops_of_all_nodes_come_in_the_order_of_time(
    asking: engine.Engine, known: Journals
) -> None:
    await known.record(NODE1, ended(1, "web1", 10), ended(2, "gone", 30))
    await known.record(NODE2, ended(3, "web1", 20, cause=cause.Cause.MIGRATED))

    rows = await told(asking, "name node cause instance recent trouble")

    assert rows == [
        ["web1.example.com", NODE1, "user-poweroff", "web1.example.com", 1, None],
        ["web1.example.com", NODE2, "migrated", "web1.example.com", 0, None],
        ["gone.example.com", NODE1, "user-poweroff", None, 0, None],
        [None, NODE3, None, None, None, "it is marked offline"],
    ]
    assert set(known.nodes.calls("instance_stops")) == {NODE1, NODE2}


async def test_a_stop_is_told_with_all_that_is_on_record(
    asking: engine.Engine, known: Journals
) -> None:
    announced = intent.Intent(
        kind=intent.IntentKind.KILL, pid=4001, deadline=BORN + 20, job=42, reason="a\udcffb"
    )
    one = ended(
        1, "web1", 10, started=BORN + 4, why="x\udcff",
        evidence=evidence.Evidence(pid=4001, intent=announced),
    )  # fmt: skip
    await known.record(NODE1, one)
    await known.record(NODE2)
    fields = [key for key in stoprow.as_dict(one) if key not in {"version", "name_hex"}]

    answer = await asking.query_encoded(
        "stop", [*fields, "announced", "job", "reason", "ran", "uuid", "jobs"], ["?", "marker"]
    )

    [row, _] = json.loads(bytes(answer))["data"]
    found = dict(zip(fields, row, strict=False))
    whole = stoprow.as_dict(one) | {"number": 1}
    assert {key: value for key, (_, value) in found.items()} == {key: whole[key] for key in fields}
    assert row[len(fields) :] == [
        [0, "kill"],
        [0, 42],
        [0, "a\\xffb"],
        [0, 6.0],
        [0, clusters.instance_uuid(0)],
        [0, []],
    ]


async def test_nodes_are_told_what_of_the_condition_they_can_use(
    asking: engine.Engine, known: Journals
) -> None:
    await known.record(NODE1, *(ended(n, f"web{n % 2 + 1}", n) for n in range(30)))
    await known.record(NODE2, ended(50, "web1", 99))
    condition = [
        "&",
        ["=", "name", "web1"],
        [">=", "stopped", int(BORN) + 4],
        ["=", "node", "node1"],
        ["<", "recent", 3],
    ]

    rows = await told(asking, "stopped name", condition)

    assert rows == [[BORN + at, "web1.example.com"] for at in (24, 26, 28)]
    [(node, _, [_, _, limit, wanted])] = known.nodes.asked
    assert (node, limit) == (NODE1, 3)
    assert wanted | {"names": []} == {
        "names": [], "hosts": ["web1"], "since": BORN + 4, "until": None, "causes": [],
        "newest": True,
    }  # fmt: skip
    assert await told(asking, "name", ["<", "recent", 0]) == []


async def test_trouble_at_a_node_is_said_and_costs_nothing_else(
    asking: engine.Engine, known: Journals, tmp_path: Path
) -> None:
    known.nodes.say(NODE1, "instance_stops", {"rows": "none"})
    broken = tmp_path / "broken"
    broken.write_bytes(b"nonsense" * 100)
    ways: list[tuple[Callable[[], None], str]] = [
        (lambda: None, "answers nonsense about stops"),
        (lambda: known.answer(NODE1, tmp_path / "none", runs=False), "nothing is on record"),
        (lambda: known.answer(NODE1, broken, runs=True), "cannot be read: "),
        (lambda: known.nodes.say(NODE1, "instance_stops", _refuse), "some words"),
        (lambda: known.nodes.lack(NODE1, "instance_stops"), "keeps no record of stops"),
    ]
    for way, words in ways:
        await known.record(NODE2, ended(3, "web1", 20))
        way()
        rows = await told(asking, "name node trouble")
        assert rows[0] == ["web1.example.com", NODE2, None]
        [said] = [trouble for _, node, trouble in rows[1:] if node == NODE1]
        assert words in said
    known.nodes.go_on()
    await known.record(NODE1, ended(1, "web1", 10), runs=False)
    rows = await told(asking, "name node trouble", ["=", "node", NODE1])
    assert rows == [
        ["web1.example.com", NODE1, None],
        [None, NODE1, "ganeti-kvmd does not run there: no further stop is recorded"],
    ]
    known.answer(NODE1, tmp_path / "none", runs=True)  # nothing has stopped yet
    assert await told(asking, "name", ["=", "node", NODE1]) == []


def _refuse(*_: object) -> object:
    raise errors.Refused("some words")


async def test_no_node_sends_more_than_its_share(
    make_engine: Any, snapshot: Snapshot, known: Journals
) -> None:
    await known.record(NODE1, *(ended(n, "web1", n) for n in range(1200)))
    await known.record(NODE2)
    async with known.nodes.asking() as calling:
        rows = await told(make_engine(snapshot, nodes=calling), "stopped node trouble")
    assert [at for at, _, trouble in rows if trouble is None] == [
        BORN + n for n in range(200, 1200)
    ]
    assert [NODE1, "only its newest 1000 are shown"] in [row[1:] for row in rows]


async def test_an_earlier_guest_of_the_name_was_not_this_instances(
    asking: engine.Engine, known: Journals
) -> None:
    await known.record(NODE1, ended(1, "web1", -5000))
    await known.record(NODE2)
    assert (await told(asking, "name instance uuid"))[0] == ["web1.example.com", None, None]
    answer = await asking.query("instance", ["stop_cause"], ["=", "name", "web1"])
    assert answer["data"] == [[(0, "")]]


# The last stop of instances.


async def test_why_instances_last_stopped_costs_one_call_a_node(
    make_engine: Any, known: Journals
) -> None:
    snapshot = clusters.large(instances=60, nodes=2)
    names = [instance.name.removesuffix(".example.com") for instance in snapshot.instances.values()]
    await known.record(NODE1, *(ended(n, name, n) for n, name in enumerate(names) if n % 2))
    await known.record(
        NODE2,
        *(ended(n, name, n, cause=cause.Cause.KILLED) for n, name in enumerate(names) if n % 3),
    )
    async with known.nodes.asking() as calling:
        asking = make_engine(snapshot, nodes=calling)
        answer = await asking.query("instance", ["name", "stop_cause", "stop_node"])
    assert sorted(node for node, _, _ in known.nodes.asked) == [NODE1, NODE2]
    found = {name: (status, why) for (_, name), (status, why), _ in answer["data"]}
    for number, name in enumerate(names):
        expected: tuple[int, str | None] = (0, "")
        expected = (0, "user-poweroff") if number % 2 else expected
        expected = (0, "killed") if number % 3 and not number % 2 else expected
        got = found[f"{name}.example.com"]
        # Both nodes tell of the same moment for some; either is right then.
        assert got == expected or (number % 6 in {1, 5} and got[0] == 0)


async def test_the_last_stop_counts_wherever_it_was(asking: engine.Engine, known: Journals) -> None:
    await known.record(NODE1, ended(1, "web1", 10, why="a reason"))
    await known.record(NODE2, ended(2, "web1", 20, cause=cause.Cause.MIGRATED))
    fields = ["stop_cause", "stop_time", "stop_node"]
    answer = await asking.query("instance", fields, ["=", "name", "web1"])
    assert answer["data"] == [[(0, "migrated"), (0, BORN + 20), (0, NODE2)]]


async def test_what_its_own_node_does_not_say_is_not_known(
    asking: engine.Engine, known: Journals, tmp_path: Path
) -> None:
    await known.record(NODE2, ended(2, "web1", 20))
    fields = ["stop_cause", "stop_why", "run_since"]

    async def cells() -> Any:
        answer = await asking.query("instance", fields, ["=", "name", "web1"])
        [row] = answer["data"]
        return row

    assert await cells() == [(2, None)] * 3
    known.answer(NODE1, tmp_path / "none", runs=False)
    assert [status for status, _ in await cells()] == [0, 0, 2]
    known.answer(NODE2, tmp_path / "none", runs=True)
    assert await cells() == [(2, None)] * 3
    known.answer(NODE1, tmp_path / "none", runs=True)
    assert await cells() == [(0, ""), (3, None), (3, None)]
    with journals.observed(tmp_path / "none") as found:
        watched = examples.watched(examples.a_stop(5), name="web1.example.com", started=BORN)
        found.kept.remember(watched)
        await journals.until(lambda: len(journals.watched(tmp_path / "none")) == 1)
    assert await cells() == [(0, ""), (3, None), (0, BORN)]
    known.answer(NODE1, tmp_path / "none", runs=False)
    assert (await cells())[2] == (2, None), "what it knew when it last ran may have ended since"


async def test_no_node_is_asked_for_stops_that_nobody_asks_about(
    asking: engine.Engine, known: Journals
) -> None:
    await asking.query("instance", ["name", "status"])
    assert known.nodes.calls("instance_last_stops") == []
    known.nodes.asked.clear()
    await asking.query("instance", ["name", "stop_cause"])
    assert known.nodes.calls("all_instances_info") == []
