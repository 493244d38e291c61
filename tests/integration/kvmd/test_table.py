"""Each row of the table of causes, made to happen by a real qemu under the real daemon."""

import contextlib
import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab import daemons, guests, memorygroups, qemus, qmpclient
from pyganeti.model import stop as stops

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

Start = Callable[..., qemus.Qemu]
DO = guests.Command
NO_MEMORY_GROUP = memorygroups.why_not()


def setup(**options: object) -> qemus.Machine:
    return qemus.Machine(**options)  # type: ignore[arg-type]


def judged(kvmd: daemons.Kvmd, qemu: qemus.Qemu) -> str:
    """Return the cause, once it is known that there is one row, and the marker that goes with it.

    Also that the row tells whose end it was, and that its times are in order.
    """
    stop = kvmd.wait_stop(qemu)
    rows = kvmd.stops_of(qemu)
    assert len(rows) == 1
    assert kvmd.has_marker(qemu.name) == stop.cause.leaves_marker
    assert stop.evidence.attachment == "whole"
    assert stop.started is not None
    assert stop.started <= stop.stopped <= stop.recorded
    assert stop.qemu
    return str(stop.cause)


@dataclass(frozen=True)
class End:
    """A guest told to do something, in a qemu set up somehow, and why it is to have stopped."""

    command: guests.Command
    cause: str
    machine: qemus.Machine = qemus.PLAIN


GUEST_ENDS = {
    "powers off": End(DO.POWER_OFF, "user-poweroff"),
    "powers off, held": End(DO.POWER_OFF, "user-poweroff", setup(hold=True)),
    "S4": End(DO.HIBERNATE, "user-hibernate"),
    "S4, held": End(DO.HIBERNATE, "user-hibernate", setup(hold=True)),
    "reset with no-reboot": End(DO.RESET, "guest-reboot", setup(no_reboot=True)),
    "reset with no-reboot, held": End(DO.RESET, "guest-reboot", setup(no_reboot=True, hold=True)),
    "keyboard reset with no-reboot": End(
        DO.RESET_BY_KEYBOARD, "guest-reboot", setup(no_reboot=True)
    ),
    "triple fault with no-reboot": End(DO.TRIPLE_FAULT, "guest-reboot", setup(no_reboot=True)),
    "panic": End(DO.PANIC, "guest-panic", setup(pvpanic=True)),
    "panic, exit-failure": End(
        DO.PANIC, "guest-panic", setup(pvpanic=True, on_panic="exit-failure")
    ),
    "panic, held": End(DO.PANIC, "guest-panic", setup(pvpanic=True, hold=True)),
    "isa-debug-exit": End(DO.EXIT, "exited", setup(debug_exit=True)),
    "watchdog, reset with no-reboot": End(
        DO.WATCHDOG, "watchdog", setup(watchdog=True, on_watchdog="reset", no_reboot=True)
    ),
    "watchdog, poweroff": End(
        DO.WATCHDOG, "watchdog", setup(watchdog=True, on_watchdog="poweroff")
    ),
    "watchdog, shutdown": End(
        DO.WATCHDOG, "watchdog", setup(watchdog=True, on_watchdog="shutdown")
    ),
}


@pytest.mark.parametrize("end", GUEST_ENDS)
def test_guest_that_ends_itself(shared: daemons.Kvmd, start: Start, end: str) -> None:
    what = GUEST_ENDS[end]
    qemu = start(guests.polite(), what.machine)
    qemu.say(what.command)
    assert judged(shared, qemu) == what.cause
    qemu.wait_ended()  # a held one too: it is told to


def test_exit_status_of_a_guest_that_made_its_qemu_exit_is_in_the_row(
    shared: daemons.Kvmd, start: Start
) -> None:
    qemu = start(guests.stubborn(), setup(debug_exit=True))
    qemu.say(DO.EXIT)
    found = shared.wait_stop(qemu).evidence.exit
    if found is None:
        pytest.skip("neither this kernel's pidfds nor its proc connector tell exit statuses")
    assert found.code == guests.DEBUG_EXIT_STATUS


def test_button_that_is_obeyed(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.polite()).wait_up()
    qemu.press_power_button()
    assert judged(shared, qemu) == "admin-shutdown"


def test_button_that_is_obeyed_by_a_held_guest(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.polite(), setup(hold=True)).wait_up()
    qemu.press_power_button()
    assert judged(shared, qemu) == "admin-shutdown"
    qemu.wait_ended()


def test_button_that_is_ignored_counts_for_the_window_only(node: qemus.Qemus) -> None:
    with daemons.Kvmd(node, "--powerdown-window", "0.5") as kvmd:
        soon = node.start("soon", guests.stubborn()).wait_up()
        late = node.start("late", guests.later(DO.POWER_OFF, 2.0)).wait_up()
        kvmd.wait_watching(soon, late)
        late.press_power_button()
        soon.press_power_button()
        soon.say(DO.POWER_OFF)
        assert judged(kvmd, soon) == "admin-shutdown"
        assert judged(kvmd, late) == "user-poweroff"


@pytest.mark.parametrize("held", [False, True])
def test_quit(shared: daemons.Kvmd, start: Start, held: bool) -> None:  # noqa: FBT001
    qemu = start(guests.stubborn(), setup(hold=held))
    qemu.quit()
    assert judged(shared, qemu) == "admin-quit"


ORDERLY = ("SIGTERM", "SIGINT", "SIGHUP")


@pytest.mark.parametrize(("number", "held"), [*itertools.product(ORDERLY, [False, True])])
def test_signal_that_ends_qemu_in_order(
    shared: daemons.Kvmd,
    start: Start,
    number: str,
    held: bool,  # noqa: FBT001
) -> None:
    qemu = start(guests.stubborn(), setup(hold=held))
    qemu.signal(signal.Signals[number])
    assert judged(shared, qemu) == "host-signal"


DEADLY = {
    "SIGKILL": "killed",
    "SIGSEGV": "crashed",
    "SIGABRT": "crashed",
    "SIGBUS": "crashed",
    "SIGQUIT": "crashed",
}


def skip_without_status(stop: stops.Stop) -> None:
    if stop.evidence.exit is None and stop.cause == "unknown":
        pytest.skip("neither this kernel's pidfds nor its proc connector tell exit statuses")


@pytest.mark.parametrize("number", DEADLY)
def test_signal_that_qemu_dies_of(shared: daemons.Kvmd, start: Start, number: str) -> None:
    qemu = start(guests.stubborn())
    qemu.signal(signal.Signals[number])
    stop = shared.wait_stop(qemu)
    skip_without_status(stop)
    assert judged(shared, qemu) == DEADLY[number]
    assert stop.evidence.exit is not None
    assert stop.evidence.exit.signal == signal.Signals[number]
    assert stop.evidence.socket_left
    assert stop.evidence.pid_file_left


def test_kill_that_was_announced(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn())
    daemons.write_intent(qemu, "kill")
    qemu.kill()
    stop = shared.wait_stop(qemu)
    skip_without_status(stop)
    assert judged(shared, qemu) == "admin-kill"
    assert stop.evidence.intent is not None
    assert (stop.evidence.intent.job, stop.evidence.intent.reason) == (17, "laboratory")


@pytest.mark.root
@pytest.mark.skipif(bool(NO_MEMORY_GROUP), reason=NO_MEMORY_GROUP)
def test_out_of_memory_and_a_kill_in_the_same_group_afterwards(node: qemus.Qemus) -> None:
    group = node.memory_group(96)
    with daemons.Kvmd(node) as kvmd:
        greedy = node.start("greedy", guests.stubborn(), setup(memory=256, group=group))
        modest = node.start("modest", guests.idle(), setup(group=group))
        kvmd.wait_watching(greedy, modest)
        greedy.say(DO.TOUCH_MEMORY)
        assert judged(kvmd, greedy) == "oom-killed"
        modest.kill()
        # The kernel kills a second one now and then, before the first one's memory is free.
        was_killed = memorygroups.oom_kills(group) == 1
        assert judged(kvmd, modest) == ("killed" if was_killed else "oom-killed")


def test_system_reset_with_no_reboot(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn(), setup(no_reboot=True))
    qemu.qmp().command("system_reset")
    assert judged(shared, qemu) == "admin-quit"


def powers_off(qemu: qemus.Qemu) -> None:
    qemu.wait_up().say(DO.POWER_OFF)


def quits(qemu: qemus.Qemu) -> None:
    qemu.quit()


@dataclass(frozen=True)
class Life:
    """What a guest lives through, and what is recorded when it ends some way after that."""

    command: guests.Command
    machine: qemus.Machine
    end: Callable[[qemus.Qemu], None]
    cause: str
    status: str = "running"


LIVES_ON = {
    "reset": Life(DO.RESET, setup(), powers_off, "user-poweroff"),
    "keyboard reset": Life(DO.RESET_BY_KEYBOARD, setup(), quits, "admin-quit"),
    "triple fault": Life(DO.TRIPLE_FAULT, setup(), powers_off, "user-poweroff"),
    "watchdog, reset": Life(DO.WATCHDOG, setup(watchdog=True), powers_off, "user-poweroff"),
    "watchdog, none": Life(
        DO.WATCHDOG, setup(watchdog=True, on_watchdog="none"), powers_off, "user-poweroff"
    ),
    "watchdog, pause": Life(
        DO.WATCHDOG, setup(watchdog=True, on_watchdog="pause"), quits, "watchdog", "watchdog"
    ),
    "crash loaded": Life(DO.CRASH_LOAD, setup(pvpanic=True), powers_off, "user-poweroff"),
    "panic, none": Life(
        DO.PANIC, setup(pvpanic=True, on_panic="none"), powers_off, "user-poweroff"
    ),
    "panic, pause": Life(
        DO.PANIC,
        setup(pvpanic=True, on_panic="pause"),
        quits,
        "guest-panic",
        "guest-panicked",
    ),
    "panic, held, to be looked at": Life(
        DO.PANIC,
        setup(pvpanic=True, hold=True, on_panic="pause"),
        quits,
        "guest-panic",
        "guest-panicked",
    ),
    "S3": Life(DO.SUSPEND, setup(), quits, "admin-quit", "suspended"),
}


@pytest.mark.parametrize("life", LIVES_ON)
def test_guest_that_lives_on_is_not_recorded_until_it_ends(
    shared: daemons.Kvmd, start: Start, life: str
) -> None:
    what = LIVES_ON[life]
    qemu = start(guests.stubborn(), what.machine)
    qemu.say(what.command)
    if what.status == "running":
        qemu.wait_up()
    qemu.wait_status(what.status)
    assert shared.stops_of(qemu) == []
    what.end(qemu)
    assert judged(shared, qemu) == what.cause


def test_guest_that_was_woken_from_s3_and_powers_off(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn())
    qemu.say(DO.SUSPEND)
    qemu.wait_status("suspended")
    qemu.qmp().command("system_wakeup")
    qemu.qmp().wait_for("WAKEUP")
    powers_off(qemu)
    assert judged(shared, qemu) == "user-poweroff"


@pytest.fixture
def pair(start: Start) -> tuple[qemus.Qemu, qemus.Qemu]:
    target = start(guests.polite(), setup(incoming=True))
    source = start(guests.polite()).wait_up()
    return source, target


@pytest.mark.parametrize("end", ["quit", "SIGTERM", "SIGKILL"])
def test_guest_that_was_migrated_is_recorded_where_it_left_only(
    shared: daemons.Kvmd, pair: tuple[qemus.Qemu, qemus.Qemu], end: str
) -> None:
    source, target = pair
    source.migrate_to(target)
    if end == "quit":
        source.quit()
    else:
        source.signal(signal.Signals[end])
    assert judged(shared, source) == "migrated"
    assert shared.stops_of(target) == []
    powers_off(target)
    assert judged(shared, target) == "user-poweroff"


def test_guest_that_arrived_and_is_pressed_the_button(
    shared: daemons.Kvmd, pair: tuple[qemus.Qemu, qemus.Qemu]
) -> None:
    source, target = pair
    source.migrate_to(target)
    source.quit()
    target.wait_up().press_power_button()
    assert judged(shared, target) == "admin-shutdown"
    assert judged(shared, source) == "migrated"


@contextlib.contextmanager
def deaf_host(qemu: qemus.Qemu) -> Iterator[socket.socket]:
    """Have the guest sent to a host that takes the connection and reads nothing."""
    path = qemu.node.root / f"{qemu.name}.deaf"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(qemus.PATIENCE)
        qemu.qmp().command("migrate", uri=f"unix:{path}")
        connection, _ = listening.accept()
        with connection:
            qemus.wait_until(
                lambda: qemu.qmp().command("query-migrate").get("status") == "active",
                what="the migration to be under way",
            )
            yield connection


def test_guest_whose_migration_failed(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn()).wait_up()
    with deaf_host(qemu):
        pass
    qemus.wait_until(
        lambda: qemu.qmp().command("query-migrate").get("status") == "failed",
        what="the migration to fail",
    )
    assert shared.stops_of(qemu) == []
    powers_off(qemu)
    assert judged(shared, qemu) == "user-poweroff"


@pytest.mark.parametrize("end", ["powers off", "SIGTERM"])
def test_guest_that_ends_while_its_migration_is_under_way(
    shared: daemons.Kvmd, start: Start, end: str
) -> None:
    qemu = start(guests.stubborn()).wait_up()
    with deaf_host(qemu):
        if end == "powers off":
            powers_off(qemu)
        else:
            qemu.signal(signal.SIGTERM)
        expected = {"powers off": "user-poweroff", "SIGTERM": "host-signal"}
        assert judged(shared, qemu) == expected[end]


def test_migration_target_that_is_given_up(shared: daemons.Kvmd, start: Start) -> None:
    target = start(guests.polite(), setup(incoming=True))
    target.quit()
    assert judged(shared, target) == "admin-quit"


def test_guest_that_was_snapshotted_and_powers_off(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn(), setup(snapshots=True)).wait_up()
    assert not qemu.qmp().command("human-monitor-command", command_line="savevm one")
    qemu.qmp().wait_for("RESUME")
    assert shared.stops_of(qemu) == []
    powers_off(qemu)
    assert judged(shared, qemu) == "user-poweroff"


def test_guest_that_was_paused_and_powers_off(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn()).wait_up()
    qemu.qmp().command("stop")
    qemu.wait_status("paused")
    assert shared.stops_of(qemu) == []
    qemu.qmp().command("cont")
    powers_off(qemu)
    assert judged(shared, qemu) == "user-poweroff"


def test_button_pressed_before_a_snapshot_still_counts(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn()).wait_up()
    qemu.press_power_button()
    qemu.qmp().command("stop")
    qemu.qmp().command("cont")
    powers_off(qemu)
    assert judged(shared, qemu) == "admin-shutdown"


def test_button_pressed_before_a_reset_counts_no_more(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn()).wait_up()
    qemu.press_power_button()
    qemu.say(DO.RESET)
    qemu.qmp().wait_for("RESET")
    powers_off(qemu)
    assert judged(shared, qemu) == "user-poweroff"


def test_guest_that_never_ran(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.polite(), setup(paused=True))
    qemu.quit()
    assert judged(shared, qemu) == "admin-quit"


def test_guest_that_powers_off_as_soon_as_it_runs(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.at_once(DO.POWER_OFF), setup(paused=True))
    qemu.qmp().command("cont")
    assert judged(shared, qemu) == "user-poweroff"


def test_hostile_guest_disturbs_nobody_else(shared: daemons.Kvmd, start: Start) -> None:
    hostile = start(guests.stubborn(), setup(pvpanic=True))
    other = start(guests.stubborn()).wait_up()
    hostile.say(DO.FLOOD)
    powers_off(other)
    assert judged(shared, other) == "user-poweroff"
    assert shared.stops_of(hostile) == []


def test_hostile_guest_whose_qemu_could_not_say_its_last_words(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    """What qemu 7.2 has not got rid of when it ends, SHUTDOWN included, it throws away.

    Where that shows, nothing is claimed; nor is anything, ever, that did not happen.
    """
    qemu = node.start("web1", guests.stubborn(), setup(pvpanic=True))
    client = qemu.qmp()
    kvmd.wait_watching(qemu)
    kvmd.signal(signal.SIGSTOP)
    qemu.say(DO.FLOOD)
    # Both monitors get each event; some megabytes are more than any socket's buffer holds.
    qemus.wait_until(
        lambda: client.status() == "running" and len(client.events) > 50_000, what="a flood"
    )
    qemu.signal(signal.SIGTERM)
    qemu.wait_ended()
    kvmd.signal(signal.SIGCONT)
    stop = kvmd.wait_stop(qemu)
    assert stop.cause in ("host-signal", "exited", "unknown")
    assert (stop.cause == "unknown") == any("last words" in what for what in stop.evidence.missing)


@pytest.mark.parametrize("event", ["SHUTDOWN", "GUEST_PANICKED"])
def test_device_named_like_an_event_is_a_device(
    shared: daemons.Kvmd, start: Start, event: str
) -> None:
    qemu = start(guests.stubborn(), setup(extra=("-device", "pci-bridge,chassis_nr=1,id=bridge")))
    client = qemu.qmp()
    with pytest.raises(qmpclient.Refused):
        client.command("device_del", id=event)  # the answer to us names it; kvmd sees nothing
    client.command("device_add", driver="virtio-rng-pci", id=event)

    def is_deleted() -> bool:
        """Ask for the removal; a reset completes it, and DEVICE_DELETED names it to everyone."""
        client.command("system_reset")
        with contextlib.suppress(qmpclient.Refused):  # asked for already
            client.command("device_del", id=event)
        client.command("system_reset")
        with contextlib.suppress(TimeoutError):
            client.wait_for("DEVICE_DELETED", within=0.5)
        return any(found.name == "DEVICE_DELETED" for found in client.events)

    qemus.wait_until(is_deleted, what="the removal of the device")
    assert shared.stops_of(qemu) == []
    qemu.quit()
    assert judged(shared, qemu) == "admin-quit"


def test_markers_belong_to_the_daemon_s_user_and_are_empty(
    shared: daemons.Kvmd, start: Start
) -> None:
    qemu = start(guests.stubborn())
    qemu.say(DO.POWER_OFF)
    assert judged(shared, qemu) == "user-poweroff"
    found = qemu.path(".shutdown").lstat()
    assert (found.st_size, found.st_uid) == (0, os.geteuid())
