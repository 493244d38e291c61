"""What QEMU emits for everything that a laboratory guest can do: the lab's own truth."""

import itertools

import pytest

from lab import guests, qemus, qmpclient

pytestmark = pytest.mark.qemu

DO = guests.Command
POWERED_OFF = 'SHUTDOWN guest=true reason="guest-shutdown"'
RESET = 'RESET guest=true reason="guest-reset"'
RESET_ENDS = 'SHUTDOWN guest=true reason="guest-reset"'
PANIC_ENDS = 'SHUTDOWN guest=true reason="guest-panic"'


def setup(**options: object) -> qemus.Machine:
    return qemus.Machine(**options)  # type: ignore[arg-type]


ENDINGS = {
    "power-off": (DO.POWER_OFF, setup(), [POWERED_OFF]),
    "hibernation": (DO.HIBERNATE, setup(), ["SUSPEND_DISK", POWERED_OFF]),
    "reset-no-reboot": (DO.RESET, setup(no_reboot=True), [RESET_ENDS]),
    "keyboard-no-reboot": (DO.RESET_BY_KEYBOARD, setup(no_reboot=True), [RESET_ENDS]),
    "triple-fault-no-reboot": (DO.TRIPLE_FAULT, setup(no_reboot=True), [RESET_ENDS]),
    "panic": (DO.PANIC, setup(pvpanic=True), ['GUEST_PANICKED action="poweroff"', PANIC_ENDS]),
    "panic-exit-failure": (
        DO.PANIC,
        setup(pvpanic=True, on_panic="exit-failure"),
        ['GUEST_PANICKED action="poweroff"', PANIC_ENDS],
    ),
    "debug-exit": (DO.EXIT, setup(debug_exit=True), []),
    "watchdog-no-reboot": (
        DO.WATCHDOG,
        setup(watchdog=True, no_reboot=True),
        ['WATCHDOG action="reset"', RESET_ENDS],
    ),
    "watchdog-poweroff": (
        # QEMU leaves by exit() in the middle: no SHUTDOWN follows, held or not.
        DO.WATCHDOG,
        setup(watchdog=True, on_watchdog="poweroff", hold=True),
        ['WATCHDOG action="poweroff"'],
    ),
    "watchdog-shutdown": (
        # QEMU presses the power button by itself: no administrator did.
        DO.WATCHDOG,
        setup(watchdog=True, on_watchdog="shutdown"),
        ['WATCHDOG action="shutdown"', "POWERDOWN", POWERED_OFF],
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_guest_ends_its_qemu(node: qemus.Qemus, ending: str) -> None:
    command, machine, events = ENDINGS[ending]
    qemu = node.start("web1", guests.polite(), machine)
    qemu.qmp()
    qemu.say(command)
    qemu.wait_ended()
    assert [str(event) for event in qemu.qmp().read_to_end()] == events


PAUSES = {
    "power-off": (DO.POWER_OFF, setup(hold=True), [POWERED_OFF, "STOP"], "shutdown"),
    "hibernation": (
        DO.HIBERNATE,
        setup(hold=True),
        ["SUSPEND_DISK", POWERED_OFF, "STOP"],
        "shutdown",
    ),
    "reset-no-reboot": (
        # The same status as after a power-off: only the reason tells.
        DO.RESET,
        setup(hold=True, no_reboot=True),
        [RESET_ENDS, "STOP"],
        "shutdown",
    ),
    "panic": (
        DO.PANIC,
        setup(hold=True, pvpanic=True),
        ['GUEST_PANICKED action="pause"', "STOP"],
        "guest-panicked",
    ),
    "panic-pause": (
        DO.PANIC,
        setup(pvpanic=True, on_panic="pause"),
        ['GUEST_PANICKED action="pause"', "STOP"],
        "guest-panicked",
    ),
    "watchdog-pause": (
        DO.WATCHDOG,
        setup(watchdog=True, on_watchdog="pause"),
        ['WATCHDOG action="pause"', "STOP"],
        "watchdog",
    ),
    "sleep": (DO.SUSPEND, setup(), ["SUSPEND"], "suspended"),
}


@pytest.mark.parametrize("pause", PAUSES)
def test_guest_stops_and_its_qemu_stays(node: qemus.Qemus, pause: str) -> None:
    command, machine, events, status = PAUSES[pause]
    qemu = node.start("web1", guests.stubborn(), machine)
    qemu.qmp()
    qemu.say(command)
    qemu.wait_status(status)
    assert [str(event) for event in qemu.qmp().events] == events
    assert qemu.alive


LIVES_ON = {
    "reset": (DO.RESET, setup(), [RESET]),
    "keyboard": (DO.RESET_BY_KEYBOARD, setup(), [RESET]),
    "triple-fault": (DO.TRIPLE_FAULT, setup(), [RESET]),
    "panic-none": (
        DO.PANIC,
        setup(pvpanic=True, on_panic="none"),
        ['GUEST_PANICKED action="run"'],
    ),
    "crash-load": (DO.CRASH_LOAD, setup(pvpanic=True), ['GUEST_CRASHLOADED action="run"']),
    "watchdog-none": (
        DO.WATCHDOG,
        setup(watchdog=True, on_watchdog="none"),
        ['WATCHDOG action="none"'],
    ),
}


@pytest.mark.parametrize("life", LIVES_ON)
def test_guest_lives_on_and_still_obeys(node: qemus.Qemus, life: str) -> None:
    command, machine, events = LIVES_ON[life]
    qemu = node.start("web1", guests.stubborn(), machine)
    qemu.qmp()
    qemu.say(command)
    qemu.wait_up()
    qemu.say(DO.POWER_OFF)
    qemu.wait_ended()
    came = [str(event) for event in qemu.qmp().read_to_end()]
    # SeaBIOS resets the machine again, once or twice.
    assert [event for event, _ in itertools.groupby(came)] == [*events, POWERED_OFF]


def test_polite_guest_obeys_the_button(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.polite()).wait_up()
    qemu.press_power_button()
    qemu.wait_ended()
    assert [str(event) for event in qemu.qmp().read_to_end()] == ["POWERDOWN", POWERED_OFF]


def test_stubborn_guest_ignores_the_button_and_powers_off_when_told(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn()).wait_up()
    qemu.press_power_button()
    qemu.qmp().wait_for("POWERDOWN")
    qemu.wait_up()
    assert qemu.qmp().status() == "running"
    qemu.say(DO.POWER_OFF)
    qemu.wait_ended()
    assert [str(event) for event in qemu.qmp().read_to_end()] == ["POWERDOWN", POWERED_OFF]


def test_guest_powers_off_by_itself_later(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.later(DO.POWER_OFF, 0.3)).wait_up()
    qemu.qmp()
    qemu.wait_ended()
    assert [str(event) for event in qemu.qmp().read_to_end()] == [POWERED_OFF]


def test_guest_does_one_thing_as_soon_as_it_has_booted(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.at_once(DO.POWER_OFF), setup(paused=True))
    qemu.qmp().command("cont")
    qemu.wait_ended()
    assert [str(event) for event in qemu.qmp().read_to_end()] == ["RESUME", POWERED_OFF]


def test_woken_guest_boots_anew(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn())
    qemu.qmp()
    qemu.say(DO.SUSPEND)
    qemu.wait_status("suspended")
    qemu.qmp().command("system_wakeup")
    qemu.qmp().wait_for("WAKEUP")
    qemu.wait_up()


def test_idle_guest_costs_nothing_and_hears_nothing(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.idle())
    with pytest.raises(TimeoutError):
        qemu.wait_up(within=0.3)
    assert qemu.qmp().status() == "running"


def test_hostile_guest_floods_with_events(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn(), setup(pvpanic=True))
    client = qemu.qmp()
    qemu.say(DO.FLOOD)
    qemus.wait_until(
        lambda: client.status() == "running" and len(client.events) > 1000, what="a flood"
    )
    assert {event.name for event in client.events} == {"GUEST_CRASHLOADED"}


def test_every_command_has_a_letter_of_its_own_and_fits() -> None:
    assert len({command.value for command in DO}) == len(DO)
    longest = guests.sector(obeys_button=True, first=DO.POWER_OFF, after=3.0)
    assert len(longest) == guests.SECTOR
    assert longest.endswith(b"\x55\xaa")


def test_client_tells_what_qemu_refuses(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.idle())
    with pytest.raises(qmpclient.Refused, match="no-such"):
        qemu.qmp().command("no-such-command")
