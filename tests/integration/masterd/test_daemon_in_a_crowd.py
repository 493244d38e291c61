"""A real master daemon, flooded and waited for by a thousand: memory bounded, others served."""

import contextlib
import functools
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import clusters, masterdaemons, qemus
from lab.bench.masters import startups
from pyganeti.base import descriptors, errors
from pyganeti.clients import luxi as asking
from pyganeti.model.opcodes import table, testing
from pyganeti.wire import luxi, luxierrors

CROWD = 1000
MOST_JOBS = 5000
ROOM = 600
FLOOD = 1000
AHEAD = 20
"""Requests that a client sends before it has read the answer to the first of them."""

PATIENCE = 20.0
GROWTH = 64.0
"""MiB by which the daemon may grow."""


@pytest.fixture(scope="module")
def running() -> Iterator[masterdaemons.Running]:
    """Run one whose queue has room for few more jobs."""
    snapshot = clusters.large(instances=50, nodes=1)
    fill = functools.partial(startups.fill, number=MOST_JOBS - ROOM, is_archived=False)
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as directory,
        masterdaemons.started(Path(directory), snapshot, fill) as started,
    ):
        yield started


@pytest.fixture
def client(running: masterdaemons.Running) -> Iterator[asking.Client]:
    with asking.Client(running.layout) as made:
        yield made


def delay(seconds: float, **others: Any) -> dict[str, Any]:
    return table.to_wire(testing.TestDelay(duration=seconds, no_locks=True, **others))


def resident(running: masterdaemons.Running) -> float:
    """Return what the daemon has in memory, in MiB."""
    for line in Path(f"/proc/{running.pids[0]}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError("the daemon is gone")


@contextlib.contextmanager
def connections(running: masterdaemons.Running, number: int) -> Iterator[list[socket.socket]]:
    descriptors.raise_limit()
    with contextlib.ExitStack() as opened:
        made = []
        for _ in range(number):
            connection = opened.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(50)
            connection.connect(str(running.layout.query_socket))
            made.append(connection)
        yield made


class Answers:
    """The answers that come on one connection, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._splitter = luxi.Splitter()
        self._read: list[bytes | bytearray | None] = []

    def next(self) -> Any:
        """Return one, or raise what it says."""
        while not self._read:
            piece = self.connection.recv(1 << 16)
            assert piece, "the connection was closed"
            self._read += self._splitter.feed(piece)
        return luxi.decode_answer(self._read.pop(0) or b"")


def test_a_thousand_wait_and_others_are_served(
    running: masterdaemons.Running, client: asking.Client
) -> None:
    job = client.submit([delay(50)])
    qemus.wait_until(lambda: client.query_jobs([job], ["status"]) == [["running"]], what="a job")
    before = resident(running)
    question = luxi.encode_request("WaitForJobChange", [job, ["status"], ["running"], 0, 50])
    with connections(running, CROWD) as crowd:
        for each in crowd:
            each.sendall(question)
        assert client.submit_and_wait([delay(0.01)]) == [None]
        assert len(client.query("instance", ["name"])["data"]) == 50
        assert resident(running) - before < GROWTH
        client.cancel(job, kill=True)
        for each in crowd:
            assert Answers(each).next()[0] == ["error"]


def test_a_flood_of_submits_is_taken_as_far_as_there_is_room_and_others_are_served(
    running: masterdaemons.Running, client: asking.Client
) -> None:
    before = resident(running)
    last = client.submit([delay(50)])
    waits = luxi.encode_request("SubmitJob", [[delay(0.01, depends=[[last, ["success"]]])]])
    numbers, refused, worst = [], 0, 0.0
    with connections(running, 10) as flood:
        each_sends = FLOOD // len(flood)
        answers = [Answers(each) for each in flood]
        for each in flood:
            each.sendall(waits * AHEAD)
        for turn in range(each_sends):
            for told in answers:
                try:
                    numbers.append(told.next())
                except luxierrors.QueueFull:
                    refused += 1
                if turn + AHEAD < each_sends:
                    told.connection.sendall(waits)
            began = time.monotonic()
            client.query_cluster_info()
            worst = max(worst, time.monotonic() - began)
    assert len(set(numbers)) == len(numbers)
    assert ROOM - 10 < len(numbers) < ROOM
    assert refused == FLOOD - len(numbers)
    assert worst < PATIENCE
    assert resident(running) - before < GROWTH
    client.cancel(last, kill=True)
    with pytest.raises(errors.Failure, match=str(last)):
        client.wait(numbers[-1])
    archived, _ = client.auto_archive(-1)
    assert archived > 0
    assert client.submit_and_wait([delay(0.01)]) == [None]
