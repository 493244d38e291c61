"""Guests from their first answer to their stop, over real processes and simulated QMP servers."""

from collections.abc import Iterator

import pytest

from lab import listening, oneloop, simulation
from pyganeti.kvmd import guest as guests
from pyganeti.kvmd.watching import connection

NAME = "web1.kvmd"


@pytest.fixture
def simulated(kvmd: oneloop.Kvmd) -> Iterator[simulation.Simulation]:
    with simulation.Simulation(kvmd.ctrl) as simulated:
        yield simulated


async def _see_status(kvmd: oneloop.Kvmd, status: str) -> None:
    await listening.until(
        lambda: (row := kvmd.watched().get("web1")) is not None and row.status == status
    )


async def test_state_that_is_evidence_is_on_record_until_the_guest_runs_again(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    kvmd.start()
    simulated.create([NAME], status="guest-panicked")
    await _see_status(kvmd, "guest-panicked")
    simulated.emit("RESUME", status="running")
    await _see_status(kvmd, "running")


async def test_state_that_ended_while_nobody_watched_is_no_evidence_later(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    kvmd.start()
    simulated.create([NAME], status="guest-panicked")
    await _see_status(kvmd, "guest-panicked")
    await kvmd.stop()
    simulated.emit("RESUME", status="running")
    kvmd.start()
    await _see_status(kvmd, "running")
    await kvmd.stop()
    simulated.kill()
    kvmd.start()
    assert [stop.cause for stop in await kvmd.see_stops("web1")] == ["unknown"]


async def test_panic_is_the_cause_although_it_was_only_seen_before_a_restart(
    kvmd: oneloop.Kvmd, simulated: simulation.Simulation
) -> None:
    kvmd.start()
    simulated.create([NAME], status="guest-panicked")
    await _see_status(kvmd, "guest-panicked")
    await kvmd.stop()
    simulated.kill()
    kvmd.start()
    assert [stop.cause for stop in await kvmd.see_stops("web1")] == ["guest-panic"]


async def test_next_qemu_of_the_name_is_another_guest(kvmd: oneloop.Kvmd) -> None:
    kvmd.start()
    for _ in range(3):
        qemu = kvmd.qemu("web1")
        await kvmd.see_watched("web1", qemu.pid)
        qemu.kill()
        await listening.until(qemu.has_ended)
    found = await kvmd.see_stops("web1", 3)
    assert [stop.cause for stop in found] == ["killed"] * 3
    assert len({stop.key for stop in found}) == 3


async def test_held_guest_is_recorded_once_and_then_let_go(kvmd: oneloop.Kvmd) -> None:
    kvmd.start()
    qemu = kvmd.qemu("web1", hold=True)
    await kvmd.see_watched("web1")
    qemu.power_off()
    await listening.until(qemu.has_ended)
    assert qemu.saw("quit")
    assert [stop.cause for stop in await kvmd.see_stops("web1")] == ["user-poweroff"]
    assert kvmd.has_marker("web1")


async def test_guest_that_was_held_while_nobody_watched_is_recorded_and_let_go(
    kvmd: oneloop.Kvmd,
) -> None:
    qemu = kvmd.qemu("web1", hold=True)
    await listening.until(lambda: qemu.saw("listening"))
    qemu.power_off()
    kvmd.start()
    await listening.until(qemu.has_ended)
    assert [stop.cause for stop in await kvmd.see_stops("web1")] == ["user-poweroff"]


async def test_qemu_that_dies_between_its_answer_and_our_look_at_it_is_the_one_known_before(
    kvmd: oneloop.Kvmd,
) -> None:
    kvmd.start()
    qemu = kvmd.qemu("web1")
    await kvmd.see_watched("web1")
    await kvmd.stop()

    parts = kvmd.build()
    meet = parts.roster.meet

    def die_and_meet(name: str, opened: connection.Connection) -> guests.Guest:
        qemu.close()
        return meet(name, opened)

    parts.roster.meet = die_and_meet  # type: ignore[method-assign]
    parts.start()
    await kvmd.see_stops("web1")
    await listening.until(lambda: len(parts.roster) == 0)
    assert len(kvmd.recorded()) == 1
