"""The daemon away, dying, coming back: what it knew counts, and no stop is recorded twice."""

import random
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import daemons, guests, qemus
from pyganeti.model import stop as stops

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

DO = guests.Command
HOLD = qemus.Machine(hold=True)
MADE = 2  # pyganeti.wire.stopjournal.Marker


def once(kvmd: daemons.Kvmd, qemu: qemus.Qemu) -> stops.Stop:
    """Return the one row of a qemu, once its marker is known to be right."""
    kvmd.wait_stop(qemu)
    rows = kvmd.stops_of(qemu)
    assert len(rows) == 1
    assert kvmd.has_marker(qemu.name) == rows[0].cause.leaves_marker
    return rows[0]


def wait_reaped(qemu: qemus.Qemu) -> None:
    """Wait until nothing is left of the process, and nobody can ask for its exit status."""
    qemu.wait_ended()
    qemus.wait_until(lambda: not Path(f"/proc/{qemu.pid}").exists(), what=f"the end of {qemu}")


# Evidence outlives the daemon.


def test_button_pressed_before_the_daemon_died(kvmd: daemons.Kvmd, node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn()).wait_up()
    kvmd.wait_watching(qemu)
    qemu.press_power_button()
    kvmd.wait_noted(qemu, "POWERDOWN")
    kvmd.restart()
    kvmd.wait_watching(qemu)
    qemu.say(DO.POWER_OFF)
    assert once(kvmd, qemu).cause == "admin-shutdown"


def test_panic_seen_before_the_daemon_died(kvmd: daemons.Kvmd, node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(pvpanic=True, on_panic="pause"))
    kvmd.wait_watching(qemu)
    qemu.say(DO.PANIC)
    kvmd.wait_noted(qemu, "GUEST_PANICKED")
    kvmd.restart()
    kvmd.wait_watching(qemu)
    qemu.quit()
    assert once(kvmd, qemu).cause == "guest-panic"


def test_panic_that_happened_while_the_daemon_was_dead(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(pvpanic=True, on_panic="pause"))
    kvmd.kill()
    qemu.say(DO.PANIC)
    qemu.wait_status("guest-panicked")
    kvmd.start()
    kvmd.wait_watching(qemu)
    qemu.quit()
    assert once(kvmd, qemu).cause == "guest-panic"


def test_panic_seen_and_qemu_gone_while_the_daemon_was_dead(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(pvpanic=True, on_panic="pause"))
    kvmd.wait_watching(qemu)
    qemu.say(DO.PANIC)
    kvmd.wait_noted(qemu, "GUEST_PANICKED")
    kvmd.kill()
    qemu.quit()
    qemu.wait_ended()
    kvmd.start()
    assert once(kvmd, qemu).cause == "guest-panic"


def test_migration_seen_and_qemu_gone_while_the_daemon_was_dead(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    source = node.start("web1", guests.polite()).wait_up()
    target = node.start("web2", guests.polite(), qemus.Machine(incoming=True))
    kvmd.wait_watching(source, target)
    source.migrate_to(target)
    kvmd.wait_noted(source, "MIGRATION")
    kvmd.kill()
    source.quit()
    source.wait_ended()
    kvmd.start()
    assert once(kvmd, source).cause == "migrated"
    kvmd.wait_watching(target)
    target.wait_up().say(DO.POWER_OFF)
    assert once(kvmd, target).cause == "user-poweroff"


def test_whole_migration_while_the_daemon_was_dead(kvmd: daemons.Kvmd, node: qemus.Qemus) -> None:
    source = node.start("web1", guests.polite()).wait_up()
    target = node.start("web2", guests.polite(), qemus.Machine(incoming=True))
    kvmd.wait_watching(source, target)
    kvmd.kill()
    source.migrate_to(target)
    kvmd.start()
    kvmd.wait_watching(source, target)
    source.quit()
    assert once(kvmd, source).cause == "migrated"
    target.wait_up().say(DO.POWER_OFF)
    assert once(kvmd, target).cause == "user-poweroff"


def test_out_of_date_watch_of_a_daemon_that_stood_still(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    ended, killed = (node.start(name, guests.stubborn()) for name in ("web1", "web2"))
    kvmd.wait_watching(ended, killed)
    kvmd.signal(signal.SIGSTOP)
    ended.say(DO.POWER_OFF)
    ended.wait_ended()
    killed.kill()
    kvmd.signal(signal.SIGCONT)
    assert once(kvmd, ended).cause == "user-poweroff"
    assert once(kvmd, killed).cause in ("killed", "unknown")


# What nobody saw.


def test_held_guest_that_powered_off_while_the_daemon_was_dead(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    known = node.start("web1", guests.stubborn(), HOLD)
    kvmd.wait_watching(known)
    kvmd.kill()
    new = node.start("web2", guests.stubborn(), HOLD)
    for qemu in (known, new):
        qemu.say(DO.POWER_OFF)
        qemu.wait_status("shutdown")
    kvmd.start()
    for qemu in (known, new):
        assert once(kvmd, qemu).cause == "user-poweroff"
        qemu.wait_ended()


def test_held_guest_that_obeyed_the_button_while_the_daemon_was_dead(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    qemu = node.start("web1", guests.stubborn(), HOLD).wait_up()
    kvmd.wait_watching(qemu)
    qemu.press_power_button()
    kvmd.wait_noted(qemu, "POWERDOWN")
    kvmd.kill()
    qemu.say(DO.POWER_OFF)
    qemu.wait_status("shutdown")
    kvmd.start()
    assert once(kvmd, qemu).cause == "admin-shutdown"
    qemu.wait_ended()


def test_held_guest_whose_end_may_have_been_a_reset_is_not_guessed_at(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(hold=True, no_reboot=True))
    kvmd.wait_watching(qemu)
    kvmd.kill()
    qemu.say(DO.RESET)
    qemu.wait_status("shutdown")
    kvmd.start()
    stop = once(kvmd, qemu)
    assert stop.cause == "unknown"
    assert any("SHUTDOWN" in what for what in stop.evidence.missing)
    qemu.wait_ended()


@pytest.mark.parametrize("end", ["powers off", "SIGKILL", "SIGTERM"])
def test_guest_that_ended_while_the_daemon_was_dead_is_not_guessed_at(
    kvmd: daemons.Kvmd, node: qemus.Qemus, end: str
) -> None:
    qemu = node.start("web1", guests.stubborn())
    kvmd.wait_watching(qemu)
    kvmd.kill()
    if end == "powers off":
        qemu.say(DO.POWER_OFF)
    else:
        qemu.signal(signal.Signals[end])
    wait_reaped(qemu)
    kvmd.start()
    stop = once(kvmd, qemu)
    assert stop.cause == "unknown"
    assert any("events" in what for what in stop.evidence.missing)
    assert any("exit status" in what for what in stop.evidence.missing)
    assert stop.evidence.socket_left == (end == "SIGKILL")


def test_guest_that_is_still_a_zombie_when_the_daemon_comes_back(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    """Its exit status can be read until its parent reaps it, which it may do meanwhile."""
    qemu = node.start("web1", guests.stubborn())
    kvmd.wait_watching(qemu)
    kvmd.kill()
    qemu.kill()
    kvmd.start()
    assert once(kvmd, qemu).cause in ("killed", "unknown")


def test_guest_that_lived_while_the_daemon_was_dead_is_not_known(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    kvmd.kill()
    node.start("web1", guests.stubborn()).kill()
    kvmd.start()
    other = node.start("web2", guests.stubborn())
    kvmd.wait_watching(other)
    assert [stop.name for stop in kvmd.recorded()] == []
    assert set(kvmd.watched()) == {"web2"}


@pytest.mark.parametrize("hold", [False, True])
def test_host_that_booted_anew(kvmd: daemons.Kvmd, node: qemus.Qemus, hold: bool) -> None:  # noqa: FBT001
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(hold=hold))
    kvmd.wait_watching(qemu)
    kvmd.kill()
    qemu.kill()
    before = "deadbeef-0000-4000-8000-000000000000"
    with sqlite3.connect(kvmd.journal) as journal:
        journal.execute(
            "UPDATE watched SET boot_id = ?, key = ? || substr(key, 9)", (before, before[:8])
        )
    journal.close()
    again = node.start("web1", guests.stubborn(), qemus.Machine(hold=hold))
    kvmd.start()
    stop = once(kvmd, qemu)
    assert stop.cause == "host-reboot"
    assert stop.boot_id == before
    kvmd.wait_watching(again)
    again.say(DO.POWER_OFF)
    assert once(kvmd, again).cause == "user-poweroff"


# The daemon leaves, and nobody notices.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_daemon_that_is_ended_leaves_every_guest_alone(
    kvmd: daemons.Kvmd, node: qemus.Qemus, number: signal.Signals
) -> None:
    qemu = node.start("web1", guests.stubborn()).wait_up()
    kvmd.wait_watching(qemu)
    kvmd.signal(number)
    assert kvmd.wait_ended() == 0
    assert qemu.qmp().status() == "running"
    kvmd.start()
    kvmd.wait_watching(qemu)
    qemu.wait_up().say(DO.POWER_OFF)
    assert once(kvmd, qemu).cause == "user-poweroff"


def test_name_that_went_to_another_qemu_while_the_daemon_was_dead(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    first = node.start("web1", guests.stubborn())
    kvmd.wait_watching(first)
    kvmd.kill()
    first.say(DO.POWER_OFF)
    first.wait_ended()
    second = node.start("web1", guests.stubborn())
    kvmd.start()
    assert kvmd.wait_stop(first).cause == "unknown"
    kvmd.wait_watching(second)
    second.say(DO.POWER_OFF)
    assert once(kvmd, second).cause == "user-poweroff"


# kill -9 at every step.


def marker_state(kvmd: daemons.Kvmd, qemu: qemus.Qemu) -> int | None:
    with sqlite3.connect(f"file:{kvmd.journal}?mode=ro", uri=True) as journal:
        found = journal.execute("SELECT marker FROM stops WHERE pid = ?", (qemu.pid,)).fetchone()
    journal.close()
    return None if found is None else int(found[0])


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("hold", "first"), [(True, 1), (False, 7)])
def test_daemon_killed_at_any_step_of_recording_records_once(
    node: qemus.Qemus,
    hold: bool,  # noqa: FBT001
    first: int,
) -> None:
    """Each daemon dies at a step of one guest's recording; the next takes up what it left."""
    kvmd = daemons.Kvmd(node)
    victims: list[qemus.Qemu] = []
    with kvmd:
        for step in range(first, 2000, 14):
            victim = node.start(f"web{step}", guests.stubborn(), qemus.Machine(hold=hold))
            victims.append(victim)
            kvmd.kill()
            kvmd.program = (sys.executable, "-m", "lab.dying", victim.name, str(step))
            kvmd.start()
            kvmd.wait_watching(victim)
            victim.say(DO.POWER_OFF)
            qemus.wait_until(
                lambda: not kvmd.alive or (not victim.alive and marker_state(kvmd, victim) == MADE),  # noqa: B023
                what="the daemon's death, or all its work done",
            )
            if kvmd.alive:
                break
        else:
            pytest.fail("the daemon was to run out of steps")
        kvmd.program = daemons.COMMAND
        kvmd.restart()
        assert len(victims) > 10
        check_each_once(kvmd, victims, hold=hold)


def check_each_once(kvmd: daemons.Kvmd, ended: Sequence[qemus.Qemu], *, hold: bool) -> None:
    """Wait until each is recorded; hold the rows, the markers and the qemus to their word."""
    for qemu in ended:
        qemus.wait_until(lambda: bool(kvmd.stops_of(qemu)), what=f"the row of {qemu}")  # noqa: B023
        qemu.wait_ended()
        # Only where nobody was there to see it may the cause be missing.
        stop = kvmd.stops_of(qemu)[0]
        assert stop.cause == "user-poweroff" or (not hold and stop.cause == "unknown"), stop
        qemus.wait_until(
            lambda: kvmd.has_marker(stop.name) == stop.cause.leaves_marker,  # noqa: B023
            what=f"the marker of {stop}",
        )
    assert sorted(str(stop.pid) for stop in kvmd.recorded()) == sorted(str(q.pid) for q in ended)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("hold", [True, False])
def test_daemon_killed_again_and_again_in_a_storm_records_each_stop_once(
    node: qemus.Qemus,
    hold: bool,  # noqa: FBT001
) -> None:
    dice = random.Random(f"storm {hold}")
    with daemons.Kvmd(node) as kvmd:
        for turn in range(3):
            storm = [
                node.start(f"web{turn}-{number}", guests.stubborn(), qemus.Machine(hold=hold))
                for number in range(12)
            ]
            kvmd.wait_watching(*storm)
            kvmd.signal(signal.SIGSTOP)
            for qemu in storm:
                qemu.say(DO.POWER_OFF)
            kvmd.signal(signal.SIGCONT)
            for _ in range(4):
                # A moment between the first stop's arrival and the last one's end.
                signal.sigtimedwait((), dice.uniform(0.0, 0.012))
                kvmd.kill()
                kvmd.start(wait=False)
                signal.sigtimedwait((), dice.uniform(0.12, 0.25))
        kvmd.restart()
        check_each_once(kvmd, node.started, hold=hold)
