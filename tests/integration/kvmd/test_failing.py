"""Full disk, broken journal, no descriptors: the verdict still gets out, and it is said aloud."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import daemons, guests, qemus

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

DO = guests.Command


@pytest.fixture
def small_disk(node: qemus.Qemus) -> Iterator[Path]:
    """Mount a disk of 512 KiB where the journal lies."""
    place = node.root / "var/lib/ganeti/kvmd"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "lab", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> Path:
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return path


@pytest.mark.root
def test_full_disk_delays_the_row_but_not_the_marker(node: qemus.Qemus, small_disk: Path) -> None:
    with daemons.Kvmd(node) as kvmd:
        held = node.start("web1", guests.stubborn(), qemus.Machine(hold=True))
        plain = node.start("web2", guests.stubborn())
        kvmd.wait_watching(held, plain)
        filler = fill(small_disk)
        for qemu in (held, plain):
            qemu.say(DO.POWER_OFF)
            kvmd.wait_logged("a guest stopped ", f" pid={qemu.pid} ", "cause=user-poweroff")
            assert kvmd.has_marker(qemu.name)
            qemu.wait_ended()
        assert kvmd.recorded() == []
        filler.unlink()
        # It tries again with growing pauses.
        qemus.wait_until(
            lambda: [len(kvmd.stops_of(qemu)) for qemu in (held, plain)] == [1, 1],
            what="the rows once there is room",
            within=30,
        )
        assert 1 <= len(kvmd.log_lines(" ERROR ")) <= 3
        assert kvmd.stop() == 0


@pytest.mark.root
def test_daemon_that_starts_on_a_full_disk(node: qemus.Qemus, small_disk: Path) -> None:
    filler = fill(small_disk)
    with daemons.Kvmd(node) as kvmd:
        qemu = node.start("web1", guests.stubborn())
        kvmd.wait_logged(" attached ", f"qemu_pid={qemu.pid} ")
        qemu.say(DO.POWER_OFF)
        kvmd.wait_logged("a guest stopped ", f" pid={qemu.pid} ")
        assert kvmd.has_marker("web1")
        filler.unlink()
        qemus.wait_until(
            lambda: len(kvmd.stops_of(qemu)) == 1, what="the row once there is room", within=30
        )


def of_garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def of_text(path: Path) -> None:
    path.write_text("this is no journal\n" * 100)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE stops (something TEXT)")
    database.close()


def of_a_later_version(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA application_id = {0x70794753}")
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE stops (something TEXT)")
    database.close()


def of_nothing(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("make", [of_garbage, of_text, of_another_program, of_a_later_version])
def test_broken_journal_is_set_aside_and_a_new_one_begun(
    node: qemus.Qemus, make: Callable[[Path], None]
) -> None:
    kvmd = daemons.Kvmd(node)
    kvmd.journal.parent.mkdir(parents=True)
    make(kvmd.journal)
    content = kvmd.journal.read_bytes()
    with kvmd:
        qemu = node.start("web1", guests.stubborn())
        kvmd.wait_watching(qemu)
        qemu.say(DO.POWER_OFF)
        assert kvmd.wait_stop(qemu).cause == "user-poweroff"
        aside = [path for path in kvmd.journal.parent.iterdir() if ".broken-" in path.name]
        assert content in [path.read_bytes() for path in aside]
        assert kvmd.log_lines(" ERROR ", "journal")


def test_empty_file_becomes_the_journal(node: qemus.Qemus) -> None:
    kvmd = daemons.Kvmd(node)
    kvmd.journal.parent.mkdir(parents=True)
    of_nothing(kvmd.journal)
    with kvmd:
        qemu = node.start("web1", guests.stubborn())
        kvmd.wait_watching(qemu)
        qemu.say(DO.POWER_OFF)
        assert kvmd.wait_stop(qemu).cause == "user-poweroff"


def test_journal_that_is_deleted_is_begun_anew_with_all_that_is_watched(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    ends, stays = (node.start(name, guests.stubborn()) for name in ("web1", "web2"))
    kvmd.wait_watching(ends, stays)
    for path in kvmd.journal.parent.glob(f"{kvmd.journal.name}*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    ends.say(DO.POWER_OFF)
    kvmd.wait_logged("a guest stopped ", f" pid={ends.pid} ")
    assert kvmd.has_marker("web1")
    qemus.wait_until(lambda: len(kvmd.stops_of(ends)) == 1, what="the row", within=30)
    qemus.wait_until(lambda: "web2" in kvmd.watched(), what="the watched guest in the new journal")


def test_journal_that_is_overwritten_costs_no_verdict(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    first, second = (node.start(name, guests.stubborn()) for name in ("web1", "web2"))
    kvmd.wait_watching(first, second)
    for path in (kvmd.journal, kvmd.journal.with_name(f"{kvmd.journal.name}-wal")):
        if path.exists():
            with path.open("r+b") as file:
                file.write(b"\xff" * path.stat().st_size)
    first.say(DO.POWER_OFF)
    kvmd.wait_logged("a guest stopped ", f" pid={first.pid} ", "cause=user-poweroff")
    assert kvmd.has_marker("web1")
    kvmd.restart()
    # What was watched is lost with the journal; what lives is met again.
    kvmd.wait_watching(second)
    second.say(DO.POWER_OFF)
    assert kvmd.wait_stop(second).cause == "user-poweroff"


def test_descriptors_that_run_out_are_given_to_others_as_guests_leave(node: qemus.Qemus) -> None:
    with daemons.Kvmd(node, wrapper=("prlimit", "--nofile=48:48", "--")) as kvmd:
        started = [node.start(f"web{number}", guests.stubborn()) for number in range(24)]
        kvmd.wait_logged("no descriptors left for more guests")
        left = list(started)
        while left:
            met = [qemu for qemu in left if kvmd.log_lines(f"qemu_pid={qemu.pid} ")]
            for qemu in met:
                qemu.say(DO.POWER_OFF)
                assert kvmd.wait_stop(qemu).cause == "user-poweroff"
                assert kvmd.has_marker(qemu.name)
                left.remove(qemu)
            qemus.wait_until(
                lambda: not left or any(kvmd.log_lines(f"qemu_pid={q.pid} ") for q in left),
                what="another guest to be met",
                within=20,
            )
        assert len(kvmd.recorded()) == len(started)
        assert len(kvmd.log_lines(" ERROR ")) <= 3
