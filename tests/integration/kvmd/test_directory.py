"""The control directory comes, goes, moves, is mounted over; sockets that are none or are busy."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import daemons, guests, qemus, qmpclient

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

DO = guests.Command


def ends_well(kvmd: daemons.Kvmd, qemu: qemus.Qemu, letter: str = DO.POWER_OFF) -> None:
    """End a guest from inside; hold the daemon to one row and the marker."""
    qemu.say(letter)
    assert kvmd.wait_stop(qemu).cause == "user-poweroff"
    assert len(kvmd.stops_of(qemu)) == 1
    qemus.wait_until(lambda: kvmd.has_marker(qemu.name), what="the marker")


def test_directory_that_is_made_later(node: qemus.Qemus) -> None:
    shutil.rmtree(node.run_dir)
    with daemons.Kvmd(node) as kvmd:
        kvmd.wait_logged("directory")
        node.ctrl_dir.mkdir(parents=True)
        node.pid_dir.mkdir()
        qemu = node.start("web1", guests.stubborn())
        kvmd.wait_watching(qemu)
        ends_well(kvmd, qemu)


def test_directory_that_is_renamed_away_and_back(kvmd: daemons.Kvmd, node: qemus.Qemus) -> None:
    stays, ends = (node.start(name, guests.stubborn()) for name in ("web1", "web2"))
    kvmd.wait_watching(stays, ends)
    away = node.ctrl_dir.with_name("away")
    node.ctrl_dir.rename(away)
    kvmd.wait_logged("gone")
    say_at(away / "web2.serial", DO.POWER_OFF)
    assert kvmd.wait_stop(ends).cause == "user-poweroff"
    away.rename(node.ctrl_dir)
    qemus.wait_until(lambda: kvmd.has_marker("web2"), what="the marker that is owed")
    ends_well(kvmd, stays)


def say_at(serial: Path, letter: str) -> None:
    with socket.socket(socket.AF_UNIX) as guest:
        guest.settimeout(qemus.PATIENCE)
        guest.connect(str(serial))
        guest.sendall(letter.encode())
        while guest.recv(64):
            pass


@pytest.mark.parametrize("what", ["the directory", "its parent"])
def test_directory_that_is_deleted_and_made_again(
    kvmd: daemons.Kvmd, node: qemus.Qemus, what: str
) -> None:
    old = node.start("web1", guests.stubborn()).wait_up()
    kvmd.wait_watching(old)
    shutil.rmtree(node.ctrl_dir if what == "the directory" else node.ctrl_dir.parent)
    node.ctrl_dir.mkdir(parents=True)
    node.pid_dir.mkdir(exist_ok=True)
    new = node.start("web2", guests.stubborn())
    kvmd.wait_watching(new)
    ends_well(kvmd, new)
    ends_well(kvmd, old)


def test_parent_that_is_renamed_while_guests_come_and_go(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    old = node.start("web1", guests.stubborn()).wait_up()
    kvmd.wait_watching(old)
    place = node.ctrl_dir.parent
    away = place.with_name("away")
    for turn in range(3):
        place.rename(away)
        node.ctrl_dir.mkdir(parents=True)
        node.pid_dir.mkdir()
        other = node.start(f"other{turn}", guests.stubborn())
        kvmd.wait_watching(other)
        ends_well(kvmd, other)
        shutil.rmtree(place)
        away.rename(place)
    new = node.start("web2", guests.stubborn())
    kvmd.wait_watching(new)
    ends_well(kvmd, new)
    ends_well(kvmd, old)


@pytest.fixture
def mount(node: qemus.Qemus) -> Iterator[Callable[[], None]]:
    def mount() -> None:
        subprocess.run(["mount", "-t", "tmpfs", "lab", node.ctrl_dir], check=True)

    yield mount
    while (
        subprocess.run(
            ["umount", "--lazy", node.ctrl_dir], check=False, capture_output=True
        ).returncode
        == 0
    ):
        pass


@pytest.mark.root
def test_directory_that_is_mounted_over_and_unmounted(
    node: qemus.Qemus, mount: Callable[[], None], kvmd: daemons.Kvmd
) -> None:
    below = node.start("below", guests.stubborn()).wait_up()
    kvmd.wait_watching(below)
    mount()
    above = node.start("above", guests.stubborn()).wait_up()
    kvmd.wait_watching(above)
    ends_well(kvmd, above)
    subprocess.run(["umount", "--lazy", node.ctrl_dir], check=True)
    new = node.start("new", guests.stubborn())
    kvmd.wait_watching(new)
    ends_well(kvmd, new)
    ends_well(kvmd, below)


# Sockets that are none, or not to be had.


def plain_file(path: Path) -> None:
    path.write_text("not a socket")


def directory(path: Path) -> None:
    path.mkdir()


def dangling_symlink(path: Path) -> None:
    path.symlink_to("nowhere")


def pipe(path: Path) -> None:
    os.mkfifo(path)


THINGS = (plain_file, directory, dangling_symlink, pipe)


def test_things_that_are_no_sockets_are_told_once_and_disturb_nobody(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    real = node.start("real", guests.stubborn())
    for make in THINGS:
        make(node.ctrl_dir / f"{make.__name__}.kvmd")
    (node.ctrl_dir / "link.kvmd").symlink_to("real.kvmd")
    names = [*(make.__name__ for make in THINGS), "link"]
    for name in names:
        kvmd.wait_logged("WARNING", f"name={name} ")
    kvmd.wait_watching(real)
    ends_well(kvmd, real)
    for name in names:
        assert len(kvmd.log_lines("WARNING", f"name={name} ")) == 1
    assert set(kvmd.watched()) == set()
    assert {stop.name for stop in kvmd.recorded()} == {"real"}


def test_plain_file_that_becomes_a_real_qemu_s_socket(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    path = node.ctrl_dir / "web1.kvmd"
    path.write_text("not a socket")
    kvmd.wait_logged("WARNING", "name=web1 ")
    path.unlink()
    qemu = node.start("web1", guests.stubborn())
    kvmd.wait_watching(qemu)
    ends_well(kvmd, qemu)


def test_socket_that_another_client_holds_is_waited_for(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    kvmd.kill()
    busy = node.start("busy", guests.stubborn())
    free = node.start("free", guests.stubborn())
    with qmpclient.Client(busy.path(".kvmd")):
        kvmd.start()
        kvmd.wait_watching(free)
        ends_well(kvmd, free)
        assert len(kvmd.wait_logged("WARNING", "name=busy ", "busy")) == 1
        qemus.wait_until(
            lambda: "busy.kvmd" in kvmd.waiting(), what="the waiting socket on record", within=20
        )
        assert "busy" not in kvmd.watched()
    kvmd.wait_watching(busy)
    ends_well(kvmd, busy)
    assert len(kvmd.log_lines("WARNING", "name=busy ")) == 1


def test_qemu_that_hangs_is_waited_for(kvmd: daemons.Kvmd, node: qemus.Qemus) -> None:
    kvmd.kill()
    qemu = node.start("web1", guests.stubborn())
    qemu.signal(signal.SIGSTOP)
    kvmd.start()
    kvmd.wait_logged("WARNING", "name=web1 ", "busy")
    qemu.signal(signal.SIGCONT)
    kvmd.wait_watching(qemu)
    ends_well(kvmd, qemu)


def test_many_qemus_at_once_are_all_met(kvmd: daemons.Kvmd, node: qemus.Qemus) -> None:
    started = [node.start(f"web{number}", guests.idle()) for number in range(15)]
    kvmd.wait_watching(*started)
    for qemu in started:
        qemu.signal(signal.SIGTERM)
    for qemu in started:
        assert kvmd.wait_stop(qemu).cause == "host-signal"
    assert len(kvmd.recorded()) == len(started)
