"""Odd names, and names that come back with another qemu."""

import json
import os
import signal
from collections.abc import Callable

import pytest

from lab import daemons, guests, qemus

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

Start = Callable[..., qemus.Qemu]
DO = guests.Command

ODD = [
    "web1.example.com",
    "grün",
    "gru\u0308n",
    "日本",
    "two words",
    " ",
    'it\'s "quoted"',
    "new\nline",
    "tab\tand\x1b[31mred",
    "web\udcff1",
    "-rf",
    "--help",
    ".hidden",
    "...",
    "SHUTDOWN",
    "x.kvmd",
    "x.shutdown",
    "x.intent",
    "%s%n{0}",
    "$(reboot);`id`",
    "back\\slash",
    "a,b=c",
    "*?[]",
]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_name_is_watched_recorded_marked_and_asked_for(
    shared: daemons.Kvmd, start: Start, name: str
) -> None:
    qemu = start(guests.stubborn(), qemus.PLAIN, name)
    qemu.say(DO.POWER_OFF)
    stop = shared.wait_stop(qemu)
    assert (stop.name, stop.cause) == (name, "user-poweroff")
    assert shared.has_marker(name)
    told = shared.ask("why", "--json", "--", name)
    assert told.returncode == 0, told.stderr
    row = json.loads(told.stdout)
    assert row["pid"] == qemu.pid
    exact = os.fsencode(row["name"]) if row["name_hex"] is None else bytes.fromhex(row["name_hex"])
    assert exact == os.fsencode(name)
    shown = shared.ask("why", "--", name)
    assert shown.returncode == 0
    assert "user-poweroff" in shown.stdout
    assert all(character.isprintable() or character == "\n" for character in shown.stdout)


def test_file_that_is_only_a_suffix_is_nobody_s_socket(shared: daemons.Kvmd, start: Start) -> None:
    (shared.node.ctrl_dir / ".kvmd").touch()
    qemu = start(guests.stubborn())
    qemu.say(DO.POWER_OFF)
    shared.wait_stop(qemu)
    assert not (shared.node.ctrl_dir / ".shutdown").exists()


def test_new_qemu_under_a_name_starts_without_the_old_marker(
    shared: daemons.Kvmd, start: Start
) -> None:
    first = start(guests.stubborn())
    first.say(DO.POWER_OFF)
    shared.wait_stop(first)
    assert shared.has_marker(first.name)
    second = start(guests.stubborn(), name=first.name)
    qemus.wait_until(lambda: not shared.has_marker(first.name), what="the old marker to go")
    second.kill()
    assert not shared.wait_stop(second).cause.leaves_marker
    assert not shared.has_marker(first.name)
    assert [stop.pid for stop in shared.recorded(first.name)] == [first.pid, second.pid]


def test_late_verdict_does_not_bring_the_marker_back(shared: daemons.Kvmd, start: Start) -> None:
    first = start(guests.stubborn())
    shared.signal(signal.SIGSTOP)
    try:
        first.say(DO.POWER_OFF)
        first.wait_ended()
        second = shared.node.start(first.name, guests.stubborn())
    finally:
        shared.signal(signal.SIGCONT)
    assert shared.wait_stop(first).cause == "user-poweroff"
    assert not shared.has_marker(first.name)
    shared.wait_watching(second)
    second.quit()
    assert shared.wait_stop(second).cause == "admin-quit"
    assert not shared.has_marker(first.name)


def test_late_verdict_on_a_killed_qemu_whose_name_is_in_use_again(
    shared: daemons.Kvmd, start: Start
) -> None:
    first = start(guests.stubborn())
    first.kill()
    second = start(guests.stubborn(), name=first.name)
    assert shared.wait_stop(first).cause in ("killed", "unknown")
    second.say(DO.POWER_OFF)
    assert shared.wait_stop(second).cause == "user-poweroff"
    assert shared.has_marker(first.name)


def test_name_that_comes_back_again_and_again(shared: daemons.Kvmd, start: Start) -> None:
    ended = []
    for _ in range(8):
        qemu = shared.node.start("phoenix", guests.stubborn())
        ended.append(qemu)
        shared.wait_watching(qemu)
        qemu.say(DO.POWER_OFF)
        qemu.wait_ended()
    for qemu in ended:
        shared.wait_stop(qemu)
    rows = shared.recorded("phoenix")
    assert [row.pid for row in rows] == [qemu.pid for qemu in ended]
    assert {str(row.cause) for row in rows} == {"user-poweroff"}
    assert shared.has_marker("phoenix")


def test_marker_in_whose_place_something_else_lies_is_left_alone(
    shared: daemons.Kvmd, start: Start
) -> None:
    precious = shared.node.root / "precious"
    precious.write_text("precious")
    linked, filled, blocked = (start(guests.stubborn()) for _ in range(3))
    linked.path(".shutdown").symlink_to(precious)
    filled.path(".shutdown").write_text("content")
    blocked.path(".shutdown").mkdir()
    for qemu in (linked, filled, blocked):
        qemu.say(DO.POWER_OFF)
        assert shared.wait_stop(qemu).cause == "user-poweroff"
    assert precious.read_text() == "precious"
    assert linked.path(".shutdown").is_symlink()
    assert filled.path(".shutdown").read_text() == "content"
    assert blocked.path(".shutdown").is_dir()
    for qemu in (linked, blocked):
        shared.wait_logged("shutdown marker", f"name={qemu.name}")


def test_dangling_symlink_does_not_make_the_marker_elsewhere(
    shared: daemons.Kvmd, start: Start
) -> None:
    qemu = start(guests.stubborn())
    elsewhere = shared.node.root / "elsewhere"
    qemu.path(".shutdown").symlink_to(elsewhere)
    qemu.say(DO.POWER_OFF)
    shared.wait_stop(qemu)
    assert not elsewhere.exists()
