"""Getting to qemus and staying with them, over real sockets: nobody given up, nothing repeated."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from lab import listening, oneloop, qmpservers, simulation
from pyganeti.kvmd import app

NAME = "web1.kvmd"


@pytest.fixture
def simulated(kvmd: oneloop.Kvmd) -> Iterator[simulation.Simulation]:
    with simulation.Simulation(kvmd.ctrl) as simulated:
        yield simulated


@pytest.fixture
async def untold(kvmd: oneloop.Kvmd) -> AsyncIterator[app.Service]:
    """Give parts over a directory of which nobody tells them but the test."""
    parts = kvmd.build()
    parts.place.dirfd = dirfd = os.open(kvmd.ctrl, os.O_RDONLY)
    yield parts
    os.close(dirfd)


def _said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


async def _tries(parts: app.Service, number: int) -> None:
    await listening.until(lambda: parts.metrics.retries >= number)


async def test_socket_is_tried_until_the_directory_says_that_it_is_gone(
    kvmd: oneloop.Kvmd, untold: app.Service
) -> None:
    """Its going and coming may both have been lost, when the kernel's queue overflowed."""
    untold.watch.on_appeared(NAME)
    await _tries(untold, 2)
    kvmd.qemu("web1")
    await listening.until(lambda: len(untold.roster) == 1)


async def test_one_of_two_sockets_that_is_missing_does_not_hide_that_the_other_refuses(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    kvmd.change(suffixes=(".kvmd", ".qmp"))
    parts = kvmd.build()
    simulated.create([NAME], behaviour=qmpservers.REFUSE)
    parts.place.dirfd = dirfd = os.open(kvmd.ctrl, os.O_RDONLY)
    parts.watch.on_appeared(NAME)
    parts.watch.on_appeared("web1.qmp")
    await _tries(parts, 2)
    simulated.create([NAME], replace=True)
    await listening.until(lambda: len(parts.roster) == 1)
    os.close(dirfd)


async def test_vanished_socket_is_not_tried_any_more(untold: app.Service) -> None:
    untold.watch.on_appeared(NAME)
    untold.watch.on_vanished(NAME)
    before = untold.metrics.retries
    await asyncio.sleep(0.1)
    assert untold.metrics.retries == before


async def test_peer_that_closes_as_soon_as_it_has_greeted_is_tried_with_growing_pauses(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    kvmd.start()
    simulated.create([NAME])
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.5
    while loop.time() < end:
        if simulated.report()["attached"]:
            simulated.close_connections()
        await asyncio.sleep(0.002)
    assert simulated.report()["accepted"] < 10
    assert _said(caplog, "connection has ended") <= 1


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH\r\n", b'{"event": "RESUME"}\r\n'])
async def test_peer_that_is_no_qemu_is_listed_as_waiting_and_said_once(
    kvmd: oneloop.Kvmd,
    simulated: simulation.Simulation,
    caplog: pytest.LogCaptureFixture,
    greeting: bytes,
) -> None:
    parts = kvmd.start()
    simulated.create([NAME], greeting=greeting)
    await _tries(parts, 3)
    parts.watch.tell_waiting()
    await listening.until(lambda: NAME in kvmd.waiting())
    assert kvmd.waiting()[NAME].reason == "wrong greeting"
    assert _said(caplog, "cannot be used yet") == 1


async def test_waiting_socket_is_dated_from_when_its_qemu_was_lost(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    parts = kvmd.start()
    simulated.create([NAME])
    met = await kvmd.see_watched("web1")
    await asyncio.sleep(0.05)
    simulated.abandon([NAME])
    await _tries(parts, 5)
    parts.watch.tell_waiting()
    await listening.until(lambda: NAME in kvmd.waiting())
    assert kvmd.waiting()[NAME].since > met.since + 0.05


async def test_name_that_comes_and_goes_leaves_nothing_behind(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    parts = kvmd.start()
    chosen = simulation.names(200)
    for _ in range(3):
        simulated.create(chosen)
        await listening.until(lambda: len(parts.roster) == len(chosen))
        simulated.power_off(chosen)
        await listening.until(lambda: len(parts.roster) == 0)
    await listening.until(lambda: parts.watch.approaches == 0)
    assert parts.budget.connections == 0


async def test_qemu_whose_socket_was_replaced_is_followed_to_its_end_beside_the_next(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    parts = kvmd.start()
    simulated.create([NAME])
    await kvmd.see_watched("web1")
    simulated.send(b'{"event": "RTC_CHANGE"}\r\n' * 100)
    simulated.create([NAME], replace=True)
    await listening.until(lambda: len(parts.roster) == 2)
    parts.watch.count()
    assert parts.metrics.events == 100
    assert parts.watch.approaches == 2
    simulated.power_off([f"{NAME}@old"])
    assert [stop.cause for stop in await kvmd.see_stops("web1")] == ["user-poweroff"]
    assert not kvmd.has_marker("web1")
    await listening.until(lambda: parts.watch.approaches == 1)
    parts.watch.count()
    assert parts.metrics.events == 100


GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}'
)
SHUTDOWN = b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}'


async def test_event_before_the_answer_that_attaches_us_counts(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    kvmd.start()
    simulated.create([NAME], greeting=GREETING + b"\r\n" + SHUTDOWN + b"\r\n")
    assert [stop.cause for stop in await kvmd.see_stops("web1")] == ["user-poweroff"]


async def _see_waiting(kvmd: oneloop.Kvmd, parts: app.Service, reason: str) -> None:
    await _tries(parts, 1)
    parts.watch.tell_waiting()
    await listening.until(lambda: NAME in kvmd.waiting())
    assert kvmd.waiting()[NAME].reason == reason
    assert parts.budget.connections == 1


async def test_busy_qemu_is_waited_for_in_line(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    parts = kvmd.start()
    simulated.create([NAME], behaviour=qmpservers.BUSY)
    await _see_waiting(kvmd, parts, "busy")
    simulated.behave(qmpservers.SERVE)
    await listening.until(lambda: len(parts.roster) == 1)
    assert simulated.report()["accepted"] == 1


async def test_qemu_that_greets_and_hangs_then_is_waited_for_on_the_same_connection(
    kvmd: oneloop.Kvmd,
) -> None:
    awake = asyncio.Event()
    accepted = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        writer.write(GREETING + b"\r\n")
        await reader.readuntil(b"}")
        await awake.wait()
        writer.write(b'{"return": {}, "id": "capabilities"}\r\n')

    server = await asyncio.start_unix_server(serve, kvmd.ctrl / NAME)
    parts = kvmd.start()
    await _see_waiting(kvmd, parts, "no answer")
    awake.set()
    await listening.until(lambda: len(parts.roster) == 1)
    assert len(accepted) == 1
    for writer in accepted:
        writer.close()
        await writer.wait_closed()
    server.close()
