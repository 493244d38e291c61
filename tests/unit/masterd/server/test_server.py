"""A real server on a real socket: many clients, slow ones, vanishing ones, and nonsense."""

import asyncio
import contextlib
import json
import os
import pwd
import random
import select
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lab import clusters, luxiservers
from pyganeti.base import errors
from pyganeti.masterd.server import connections, crowd, listening, server
from pyganeti.wire import luxi, reasontrail

PATIENCE = 20.0
YES = True
NO_LOGINS = 77
SUBMITTING = f"""
import pathlib, sys
from pyganeti.base import paths
from pyganeti.clients import luxi
try:
    pathlib.Path("/proc/self/loginuid").write_text("65534")
except OSError:
    sys.exit({NO_LOGINS})
with luxi.Client(paths.Paths(pathlib.Path(sys.argv[1]))) as client:
    print(client.submit([{{"OP_ID": "OP_TEST_DELAY", "duration": 0, "reason": []}}]))
"""
"""What somebody runs who had logged in as nobody, and became root."""


class Talk:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def ask(self, method: str, *args: object) -> None:
        self.send(luxi.encode_request(method, args))

    async def hear(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return json.loads((await self.reader.readuntil(luxi.END))[:-1])

    async def get(self, method: str, *args: object) -> Any:
        self.ask(method, *args)
        answer = await self.hear()
        assert answer["success"], answer
        return answer["result"]

    def close(self) -> None:
        self.writer.close()


@contextlib.asynccontextmanager
async def talking(running: luxiservers.Running, limit: int = 2**26) -> AsyncIterator[Talk]:
    path = str(running.layout.query_socket)
    talk = Talk(*await asyncio.open_unix_connection(path, limit=limit))
    try:
        yield talk
    finally:
        talk.close()
        with contextlib.suppress(OSError):
            await talk.writer.wait_closed()


@pytest.fixture
async def running(short_dir: Path) -> AsyncIterator[luxiservers.Running]:
    async with luxiservers.started(short_dir, clusters.small()) as started:
        yield started


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def delay(seconds: float = 0) -> dict[str, Any]:
    return {"OP_ID": "OP_TEST_DELAY", "duration": seconds, "reason": []}


async def test_several_requests_in_one_packet_are_answered_in_order(
    running: luxiservers.Running,
) -> None:
    async with talking(running) as talk:
        asked = [luxi.encode_request("QueryTags", ["node", f"node{n}"]) for n in (1, 2, 9)]
        talk.send(b"".join([*asked, luxi.encode_request("QueryClusterInfo", [])]))
        answers = [await talk.hear() for _ in range(4)]
    assert [answer["success"] for answer in answers] == [True, True, False, True]
    assert "version" not in answers[0]


async def test_a_request_may_come_byte_by_byte(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        for byte in luxi.encode_request("QueryTags", ["cluster", ""]):
            talk.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await talk.hear() == {"success": True, "result": []}


async def test_half_a_request_is_never_done(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        talk.send(luxi.encode_request("SubmitJob", [[delay()]])[:-1])
    await until(lambda: running.serving.count == 0)
    assert running.queue.numbers == []


async def test_who_only_closes_its_sending_side_gets_its_answers(
    running: luxiservers.Running,
) -> None:
    async with talking(running) as talk:
        talk.ask("SubmitJob", [delay()])
        talk.ask("QueryTags", "cluster", "")
        talk.writer.write_eof()
        assert (await talk.hear())["result"] == 1
        assert (await talk.hear())["result"] == []
        assert await talk.reader.read() == b""


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\3", "Failed to parse request: parsing top-level JSON message"),
        (b"GET / HTTP/1.1\r\n\r\n\3", "Failed to parse request"),
        (b"[" * 500_000 + b"\3", "nested too deeply"),
        (b'{"method": "QueryTags", "args": ["cluster"]}\3', "Unable to read Pair"),
        (b'{"method": "QueryTags", "args": {}}\3', "Unable to read Pair"),
        (b'{"method": "QueryTags", "args": [1, 2]}\3', "Unable to read String"),
        (b'{"method": "QueryJobs", "args": [["x"], []]}\3', "cannot parse string 'x'"),
        (b'{"method": "QueryJobs", "args": [[-1], []]}\3', "Invalid negative job ID"),
        (b'{"method": "QueryJobs", "args": [[true], []]}\3', "is no number"),
        (b'{"method": "Query", "args": ["nosuch", [], null]}\3', "Can't parse value 'nosuch'"),
        (b'{"method": "Query", "args": ["node", "x", null]}\3', "Unable to read List"),
        (b'{"method": "Query", "args": ["node", [], ["%"]]}\3', "Unknown filter operand"),
        (b'{"method": "SubmitJob", "args": [5]}\3', "Unable to read List"),
        (b'{"method": "SubmitJob", "args": [[5]]}\3', "Unable to read JSObject"),
        (b'{"method": "SubmitJob", "args": [[{"reason": []}]]}\3', "SubmitJob: "),
        (b'{"method": "SubmitJob", "args": [[{"OP_ID": "OP_NO", "reason": []}]]}\3', "OP_NO"),
        (b'{"method": "SetDrainFlag", "args": ["yes"]}\3', "Unable to read Bool"),
        (b'{"method": "SetWatcherPause", "args": ["x"]}\3', "not a number of seconds"),
        (b'{"method": "AutoArchiveJobs", "args": [1.5, 1]}\3', "Unable to read Int"),
        (b'{"method": "WaitForJobChange", "args": [1, [], null, null, -1]}\3', "seconds"),
        (b'{"method": "ReplaceFilter", "args": [null, -1, [], "PAUSE", []]}\3', "not negative"),
        (b'{"method": "ReplaceFilter", "args": [null, 1, ["x"], "PAUSE", []]}\3', "predicate"),
        (b'{"method": "ReplaceFilter", "args": [null, 1, [], "STOP", []]}\3', "STOP"),
        (b'{"method": "ReplaceFilter", "args": [null, 1, [], ["RATE_LIMIT", 0], []]}\3', "RATE"),
        (b'{"method": "ReplaceFilter", "args": [null, 1, [], "PAUSE", ["x"]]}\3', "a reason"),
    ],
)
async def test_nonsense_is_refused_as_ganeti_does_and_the_connection_lives_on(
    running: luxiservers.Running, message: bytes, why: str
) -> None:
    async with talking(running) as talk:
        talk.send(message)
        answer = await talk.hear()
        assert answer["success"] is False
        assert answer["result"].startswith("Failed to parse request: ")
        assert why in answer["result"]
        assert await talk.get("QueryTags", "cluster", "") == []


async def test_another_protocols_version_is_refused(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        talk.send(luxi.encode_request("QueryClusterInfo", [], version=2090000))
        assert (await talk.hear())["result"] == [
            "LuxiError",
            ["LUXI version mismatch, server 3000000, request 2090000"],
        ]


async def test_a_request_of_100_megabytes_is_refused_and_never_held(
    running: luxiservers.Running,
) -> None:
    piece = b"x" * (1024 * 1024)
    async with talking(running) as talk, talking(running) as other:
        before = _resident()
        for _ in range(100):
            talk.send(piece)
            await talk.writer.drain()
        assert await other.get("QueryTags", "cluster", "") == []
        talk.send(luxi.END)
        assert "has more than 16777216 bytes" in (await talk.hear())["result"]
        assert await talk.get("QueryTags", "cluster", "") == []
        assert _resident() - before < 64 * 1024 * 1024


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_thousand_clients_wait_and_others_are_served(
    running: luxiservers.Running,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(talking(running))
        job = await first.get("SubmitJob", [delay(30)])
        await until(lambda: running.queue.numbers == [job])
        waiting = [await stack.enter_async_context(talking(running)) for _ in range(1000)]
        seen = await first.get("WaitForJobChange", job, ["nosuch"], None, None, 10)
        number = seen[1][-1][0] if seen[1] else -1
        for talk in waiting:
            talk.ask("WaitForJobChange", job, ["nosuch"], [None], number + 1, 60)
        assert await first.get("QueryTags", "cluster", "") == []
        assert await first.get("CancelJob", job, YES) is not None
        answers = await asyncio.gather(*(talk.hear() for talk in waiting))
    assert all(answer["success"] for answer in answers)
    await until(lambda: running.serving.count == 0)


async def test_a_client_that_vanishes_while_it_waits_frees_what_it_held(
    short_dir: Path,
) -> None:
    async with (
        luxiservers.started(short_dir, clusters.small(), most=2) as running,
        talking(running) as first,
    ):
        job = await first.get("SubmitJob", [delay(30)])
        second = socket.socket(socket.AF_UNIX)
        second.connect(str(running.layout.query_socket))
        second.sendall(luxi.encode_request("WaitForJobChange", [job, ["x"], [None], 99, 80]))
        await until(lambda: running.serving.count == 2)
        second.close()
        await until(lambda: running.serving.count == 1)
        await first.get("CancelJob", job, YES)


async def test_clients_beyond_the_limit_wait_for_their_turn(short_dir: Path) -> None:
    async with (
        luxiservers.started(short_dir, clusters.small(), most=3) as running,
        contextlib.AsyncExitStack() as stack,
    ):
        talks = [await stack.enter_async_context(talking(running)) for _ in range(6)]
        for talk in talks:
            talk.ask("QueryTags", "cluster", "")
        served = [asyncio.create_task(talk.hear()) for talk in talks]
        heard, waiting = await asyncio.wait(served, return_when=asyncio.FIRST_COMPLETED)
        assert running.serving.count <= 3
        while waiting:
            for talk, task in zip(talks, served, strict=True):
                if task.done():
                    talk.close()
            heard, waiting = await asyncio.wait(served, timeout=0.05)
        assert len(heard) == 6


async def test_a_slow_client_slows_nobody(short_dir: Path) -> None:
    snapshot = clusters.large(instances=2000, nodes=3)
    async with luxiservers.started(short_dir, snapshot) as running:
        fields = ["name", "hvparams", "nic.macs"]
        slow = socket.socket(socket.AF_UNIX)
        slow.connect(str(running.layout.query_socket))
        slow.sendall(luxi.encode_request("Query", ["instance", fields, None]) * 3)
        async with talking(running) as talk:
            for _ in range(20):
                assert await talk.get("QueryTags", "cluster", "") == []
            assert len((await talk.get("Query", "instance", ["name"], None))["data"]) == 2000
        slow.close()
        await until(lambda: running.serving.count == 0)


async def test_who_takes_no_answers_is_let_go_before_others_are_hurt(short_dir: Path) -> None:
    snapshot = clusters.large(instances=1000, nodes=3)
    limits = crowd.Crowd(outgoing=4 * 1024 * 1024, grace=0.02)
    async with luxiservers.started(short_dir, snapshot, crowd=limits) as running:
        request = luxi.encode_request("Query", ["instance", ["name", "hvparams"], None])
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(str(running.layout.query_socket))
                client.sendall(request)
                await until(lambda: _is_answered(client))  # noqa: B023 - waited for at once
            await until(lambda: running.serving.count < 8)
            async with talking(running) as talk:
                answer = await talk.get("Query", "instance", ["name", "hvparams"], None)
            assert len(answer["data"]) == 1000


def _is_answered(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


async def test_half_requests_of_many_do_not_take_the_memory(short_dir: Path) -> None:
    limits = crowd.Crowd(incoming=4 * 1024 * 1024, grace=0)
    async with (
        luxiservers.started(short_dir, clusters.small(), crowd=limits) as running,
        contextlib.AsyncExitStack() as stack,
    ):
        halves = [await stack.enter_async_context(talking(running)) for _ in range(6)]
        for talk in halves:
            talk.send(b"x" * 1024 * 1024)
            with contextlib.suppress(ConnectionError):
                await talk.writer.drain()
        await until(lambda: running.serving.count <= 4)
        async with talking(running) as talk:
            talk.send(luxi.encode_request("QueryTags", ["cluster", "x" * 1024 * 1024]))
            assert (await talk.hear())["success"]


async def test_who_is_silent_in_the_middle_is_let_go(
    running: luxiservers.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[connections.Connection] = []
    monkeypatch.setattr(connections, "PATIENCE", 100.0)
    async with talking(running) as half, talking(running) as waiting:
        half.send(b'{"method"')
        job = await waiting.get("SubmitJob", [delay(30)])
        waiting.ask("WaitForJobChange", job, ["x"], [None], 99, 80)
        await until(lambda: running.serving.count == 2)
        made += running.serving.clients
        for connection in made:
            connection.drop_if_silent(connection.alive_at + 99)
        assert running.serving.count == 2
        await until(lambda: sum(held.serving is not None for held in made) == 1)
        for connection in made:
            connection.drop_if_silent(connection.alive_at + 101)
        assert await half.reader.read() == b""
        await until(lambda: running.serving.count == 1)
        async with talking(running) as talk:
            await talk.get("CancelJob", job, YES)


async def test_a_submit_whose_client_vanishes_is_done_or_not_begun(
    running: luxiservers.Running,
) -> None:
    for _ in range(10):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(running.layout.query_socket))
        client.sendall(luxi.encode_request("SubmitJob", [[delay()]]))
        client.close()
    await until(lambda: running.serving.count == 0)
    async with talking(running) as talk:
        job = await talk.get("SubmitJob", [delay()])
    assert running.queue.numbers == list(range(1, job + 1))


async def test_a_flood_of_submits_is_taken_in_order(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        count = 50
        talk.send(luxi.encode_request("SubmitJob", [[delay()]]) * count)
        numbers = [(await talk.hear())["result"] for _ in range(count)]
    assert numbers == list(range(1, count + 1))


async def test_opcodes_are_kept_with_all_their_parameters(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        op = {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web1", "reason": [["me", "x", 5]]}
        job = await talk.get("SubmitJob", [op])
        [[[kept]]] = await talk.get("QueryJobs", [str(job)], ["ops"])
    assert kept["force"] is False
    assert kept["reason"][0] == ["me", "x", 5]
    assert kept["reason"][2][0] == "gnt:opcode:instance_startup"


async def test_who_submits_a_job_stands_in_its_reason(running: luxiservers.Running) -> None:
    here = reasontrail.Peer(os.getpid(), os.getuid(), pwd.getpwuid(os.getuid()).pw_name)
    forged = [["gnt:peer", "pid=1;uid=4242;user=eve", 5]]
    async with talking(running) as talk:
        one = await talk.get("SubmitJob", [delay() | {"reason": forged}])
        [[_, other]] = await talk.get("SubmitManyJobs", [[delay()]])
        rows = await talk.get("QueryJobs", [one, other], ["ops"])
    for [[kept]] in rows:
        assert reasontrail.peer_of(kept["reason"]) == here


@pytest.mark.root
async def test_who_had_logged_in_is_known_whoever_he_became(
    running: luxiservers.Running,
) -> None:
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUBMITTING, str(running.layout.root), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        printed, _ = await made.communicate()
    if made.returncode == NO_LOGINS:
        pytest.skip("the kernel keeps no login numbers here")
    async with talking(running) as talk:
        [[[kept]]] = await talk.get("QueryJobs", [int(printed)], ["ops"])
    found = reasontrail.peer_of(kept["reason"])
    assert found == reasontrail.Peer(made.pid, 0, "root", pwd.getpwuid(65534).pw_name)


async def test_several_jobs_are_submitted_together(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        second = delay() | {"depends": [[-1, ["success"]]]}
        bad = delay() | {"depends": [[-9, []]]}
        answer = await talk.get("SubmitManyJobs", [[delay()], [second], [bad]])
        assert answer[:2] == [[True, 1], [True, 2]]
        assert answer[2][0] is False
        [[kept]] = await talk.get("QueryJobs", [2], ["ops"])
        assert kept[0]["depends"] == [[1, ["success"]]]


async def test_one_wrong_opcode_refuses_the_whole_submission(
    running: luxiservers.Running,
) -> None:
    async with talking(running) as talk:
        talk.ask("SubmitManyJobs", [[delay()], [{"OP_ID": "OP_NOPE", "reason": []}]])
        assert (await talk.hear())["success"] is False
        assert await talk.get("QueryJobs", None, ["id"]) == []


async def test_a_drained_queue_takes_no_jobs_but_those_meant_for_it(
    running: luxiservers.Running,
) -> None:
    async with talking(running) as talk:
        assert await talk.get("SetDrainFlag", YES) is True
        assert await talk.get("QueryConfigValues", ["drain_flag"]) == [True]
        talk.ask("SubmitJob", [delay()])
        assert (await talk.hear())["result"][0] == "JobQueueDrainError"
        assert await talk.get("SubmitJobToDrainedQueue", [delay()]) == 1
        assert await talk.get("SetDrainFlag", not YES) is True
        assert await talk.get("SubmitJob", [delay()]) == 2


async def test_questions_under_a_lock_are_refused(running: luxiservers.Running) -> None:
    refusal = ["OpPrereqError", ["Sync queries are not allowed", "wrong_input"]]
    async with talking(running) as talk:
        for method in ("QueryInstances", "QueryNodes", "QueryGroups", "QueryNetworks"):
            talk.ask(method, [], ["name"], YES)
            assert (await talk.hear())["result"] == refusal
        talk.ask("QueryExports", [], YES)
        assert (await talk.hear())["result"] == refusal


async def test_what_is_for_internal_use_is_refused(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        talk.ask("PickupJob", 1)
        assert (await talk.hear())["result"] == [
            "GenericError",
            ["Luxi call 'PickupJob' is for internal use only"],
        ]


async def test_every_method_of_the_protocol_is_there(running: luxiservers.Running) -> None:
    async with talking(running) as talk:
        for method in luxi.METHODS:
            talk.ask(method, {"no": "arguments"})
            answer = await talk.hear()
            assert method == "QueryClusterInfo" or not answer["success"]
            assert "internal" not in str(answer["result"])


async def test_a_defect_is_told_and_serves_others_on(
    running: luxiservers.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(running.engine, "tags", broken)
    async with talking(running) as talk:
        talk.ask("QueryTags", "cluster", "")
        answer = await talk.hear()
        assert answer["result"][0] == "GenericError"
        assert "broken" in answer["result"][1][0]
        assert await talk.get("QueryConfigValues", ["cluster_name"]) == ["cluster.example.com"]


async def test_a_stale_socket_is_replaced_and_a_living_one_is_not(short_dir: Path) -> None:
    stale = short_dir / "var/run/ganeti/socket/ganeti-query"
    stale.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    async with luxiservers.started(short_dir, clusters.small()) as running:
        async with talking(running) as talk:
            assert await talk.get("QueryTags", "cluster", "") == []
        with pytest.raises(errors.AlreadyRunning):
            await running.another().__aenter__()
        async with talking(running) as talk:
            assert await talk.get("QueryTags", "cluster", "") == []
    assert not stale.exists()


def test_what_is_no_socket_is_left_alone(short_dir: Path) -> None:
    place = short_dir / "ganeti-master"
    place.write_text("mine")
    with pytest.raises(errors.Denied, match="no socket"):
        listening.listen(place, luxiservers.GROUP)
    assert place.read_text() == "mine"
    assert list(short_dir.iterdir()) == [place]


async def test_a_server_that_cannot_listen_on_all_its_sockets_listens_on_none(
    running: luxiservers.Running, short_dir: Path
) -> None:
    first = short_dir / "first"
    paths = [first, running.layout.query_socket]
    with pytest.raises(errors.AlreadyRunning):
        await server.Server(paths, running.table, group=luxiservers.GROUP).__aenter__()
    assert not first.exists()


async def test_a_socket_that_is_another_daemons_by_now_is_left(short_dir: Path) -> None:
    async with luxiservers.started(short_dir, clusters.small()) as running:
        path = running.layout.query_socket
        path.unlink()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(path))
    assert path.exists()
    other.close()


def test_a_path_too_long_for_a_socket_is_told(short_dir: Path) -> None:
    with pytest.raises(errors.BadInput, match="107 bytes"):
        listening.listen(short_dir / ("x" * 100), luxiservers.GROUP)


WORDS = [
    "name", "node1", "instance", "node", "job", "lock", "cluster", "os", "id", "status", "&", "|",
    "!", "?", "=", "=~", "=[]", "<", "x", "", "\ud800", "1", "-1", "99999999999999999999", "PAUSE",
]  # fmt: skip


def nonsense(dice: random.Random, depth: int = 0) -> Any:
    """Return some JSON, of words that mean something in some place."""
    leaves: list[Callable[[], Any]] = [
        lambda: None,
        lambda: dice.random() < 0.5,
        lambda: dice.choice([0, 1, -1, 7, 2**63 - 1, -(2**63), 1.5, 1e308]),
        lambda: dice.choice(WORDS),
    ]
    nests: list[Callable[[], Any]] = [
        lambda: [nonsense(dice, depth + 1) for _ in range(dice.randrange(5))],
        lambda: [nonsense(dice, depth + 1) for _ in range(dice.randrange(5))],
        lambda: {dice.choice(WORDS): nonsense(dice, depth + 1) for _ in range(2)},
    ]
    made = dice.choice(leaves if depth > 3 else [*leaves, *nests])
    return made()


async def test_whatever_is_asked_there_is_an_answer_and_no_defect(
    running: luxiservers.Running,
) -> None:
    dice = random.Random(7)
    methods = sorted(luxi.METHODS - {"WaitForJobChange"})
    for _ in range(4000):
        request = luxi.Request(
            dice.choice(methods), [nonsense(dice) for _ in range(dice.randrange(4))]
        )
        # A Failure has words for the client; anything else would be a defect of ours.
        with contextlib.suppress(errors.Failure):
            luxi.encode_success(await running.table.perform(request))
    for _ in range(1000):
        what = dice.choice(sorted(running.engine.resources))
        known = [field["name"] for field in running.engine.query_fields(what)["fields"]]
        condition = [
            dice.choice(["&", "|", "!"]),
            [dice.choice(WORDS[10:19]), dice.choice([*known, "x"]), nonsense(dice, 3)],
            [dice.choice(WORDS[10:19]), dice.choice(known), nonsense(dice, 4)],
        ][: dice.choice([2, 3])]
        request = luxi.Request("Query", [what, dice.choices(known, k=3), condition])
        with contextlib.suppress(errors.Failure):
            luxi.encode_success(await running.table.perform(request))
