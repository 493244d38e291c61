"""What administrators announce beside the socket, and what counts for nothing."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import daemons, guests, qemus
from pyganeti.model import stop as stops

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

Start = Callable[..., qemus.Qemu]
DO = guests.Command
KINDS = ("powerdown", "quit", "kill", "migrate", "reset", "snapshot", "pause")


def powered_off(kvmd: daemons.Kvmd, qemu: qemus.Qemu) -> stops.Stop:
    qemu.say(DO.POWER_OFF)
    stop = kvmd.wait_stop(qemu)
    assert len(kvmd.stops_of(qemu)) == 1
    assert kvmd.has_marker(qemu.name) == stop.cause.leaves_marker
    return stop


@pytest.mark.parametrize("kind", KINDS)
def test_power_off_while_an_intent_is_in_force(
    shared: daemons.Kvmd, start: Start, kind: str
) -> None:
    qemu = start(guests.stubborn())
    daemons.write_intent(qemu, kind)
    asks_for_the_end = kind in ("powerdown", "quit", "kill")
    stop = powered_off(shared, qemu)
    assert stop.cause == ("admin-shutdown" if asks_for_the_end else "user-poweroff")
    assert stop.evidence.intent is not None
    assert stop.evidence.intent.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_sigkill_while_an_intent_is_in_force(shared: daemons.Kvmd, start: Start, kind: str) -> None:
    qemu = start(guests.stubborn())
    daemons.write_intent(qemu, kind)
    qemu.signal(signal.SIGKILL)
    stop = shared.wait_stop(qemu)
    if stop.evidence.exit is None:
        pytest.skip("neither this kernel's pidfds nor its proc connector tell exit statuses")
    assert stop.cause == ("admin-kill" if kind == "kill" else "killed")


@pytest.mark.parametrize("kind", KINDS)
def test_quit_is_a_quit_whatever_was_announced(
    shared: daemons.Kvmd, start: Start, kind: str
) -> None:
    qemu = start(guests.stubborn())
    daemons.write_intent(qemu, kind)
    qemu.quit()
    assert shared.wait_stop(qemu).cause == "admin-quit"


def test_intent_that_is_over_counts_for_nothing(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn())
    daemons.write_intent(qemu, "powerdown", seconds=-5)
    assert powered_off(shared, qemu).cause == "user-poweroff"


def test_announced_kill_that_came_too_late_was_not_announced(
    shared: daemons.Kvmd, start: Start
) -> None:
    qemu = start(guests.stubborn())
    daemons.write_intent(qemu, "kill", seconds=-5)
    qemu.signal(signal.SIGKILL)
    stop = shared.wait_stop(qemu)
    if stop.evidence.exit is None:
        pytest.skip("neither this kernel's pidfds nor its proc connector tell exit statuses")
    assert stop.cause == "killed"


def test_intent_for_another_process_counts_for_nothing(shared: daemons.Kvmd, start: Start) -> None:
    qemu = start(guests.stubborn())
    daemons.write_intent(qemu, "powerdown", pid=qemu.pid + 1)
    stop = powered_off(shared, qemu)
    assert stop.cause == "user-poweroff"
    assert str(qemu.pid + 1) in stop.evidence.intent_note


def test_button_counts_no_longer_than_the_intent_that_announced_it(
    shared: daemons.Kvmd, start: Start
) -> None:
    qemu = start(guests.stubborn()).wait_up()
    over = time.time() + 0.4
    daemons.write_intent(qemu, "powerdown", seconds=0.4)
    qemu.press_power_button()
    qemus.wait_until(lambda: time.time() > over, what="the intent to be over")
    assert powered_off(shared, qemu).cause == "user-poweroff"


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff{[[[" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_a_later_version(path: Path) -> None:
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:-3])


def endless(path: Path) -> None:
    path.write_bytes(b" " * (1 << 20) + path.read_bytes())


def symlink(path: Path) -> None:
    elsewhere = path.with_name(f"{path.name}-elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [garbage, empty, of_a_later_version, cut, endless, symlink, pipe, directory]
)
def test_what_is_not_an_intent_counts_for_nothing_and_is_told(
    shared: daemons.Kvmd, start: Start, spoil: Callable[[Path], None]
) -> None:
    qemu = start(guests.stubborn())
    spoil(daemons.write_intent(qemu, "powerdown"))
    stop = powered_off(shared, qemu)
    assert stop.cause == "user-poweroff"
    assert stop.evidence.intent is None
    assert "intent" in stop.evidence.intent_note
