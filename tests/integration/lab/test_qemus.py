"""The laboratory leaves nothing behind, and starts qemus in every way that tests need."""

import json
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import guardian, guests, memorygroups, qemus
from pyganeti.base import pidfd

pytestmark = pytest.mark.qemu

no_memory_group = memorygroups.why_not()

DO = guests.Command


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_qemu_ends_in_order_on_a_signal(node: qemus.Qemus, number: str) -> None:
    qemu = node.start("web1", guests.idle())
    qemu.qmp()
    qemu.signal(signal.Signals[number])
    qemu.wait_ended()
    events = [str(event) for event in qemu.qmp().read_to_end()]
    assert events == ['SHUTDOWN guest=false reason="host-signal"']
    assert qemu.left_behind == set()


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGQUIT"])
def test_qemu_dies_of_a_signal_without_a_word(node: qemus.Qemus, number: str) -> None:
    qemu = node.start("web1", guests.idle())
    qemu.qmp()
    qemu.signal(signal.Signals[number])
    qemu.wait_ended()
    assert qemu.qmp().read_to_end() == []
    assert qemu.left_behind == {".qmp", ".kvmd", "pid"}


def end_by(letter: str) -> Callable[[qemus.Qemu], None]:
    return lambda qemu: qemu.say(letter)


def end_with(number: signal.Signals) -> Callable[[qemus.Qemu], None]:
    return lambda qemu: qemu.signal(number)


EXITS = {
    "power-off": (end_by(DO.POWER_OFF), qemus.PLAIN, 0),
    "quit": (qemus.Qemu.quit, qemus.PLAIN, 0),
    "term": (end_with(signal.SIGTERM), qemus.PLAIN, 0),
    "kill": (end_with(signal.SIGKILL), qemus.PLAIN, 9),
    "crash": (end_with(signal.SIGSEGV), qemus.PLAIN, 11),
    "abort": (end_with(signal.SIGABRT), qemus.PLAIN, 6),
    "bus-error": (end_with(signal.SIGBUS), qemus.PLAIN, 7),
    "quit-key": (end_with(signal.SIGQUIT), qemus.PLAIN, 3),
    "panic": (end_by(DO.PANIC), qemus.Machine(pvpanic=True), 0),
    "panic-failure": (
        end_by(DO.PANIC),
        qemus.Machine(pvpanic=True, on_panic="exit-failure"),
        1 << 8,
    ),
    "debug-exit": (
        end_by(DO.EXIT),
        qemus.Machine(debug_exit=True),
        guests.DEBUG_EXIT_STATUS << 8,
    ),
    "watchdog-poweroff": (
        end_by(DO.WATCHDOG),
        qemus.Machine(watchdog=True, on_watchdog="poweroff"),
        0,
    ),
}


@pytest.mark.skipif(not pidfd.supported(), reason="this kernel's pidfds do not tell exit statuses")
@pytest.mark.parametrize("how", EXITS)
def test_exit_status_is_known(node: qemus.Qemus, how: str) -> None:
    end, machine, status = EXITS[how]
    qemu = node.start("web1", guests.stubborn(), machine).wait_up()
    end(qemu)
    assert qemu.wait_exit_status() == status


def test_many_start_together(node: qemus.Qemus) -> None:
    started = node.start_all([f"web{n}" for n in range(12)], guests.idle())
    assert [qemu.name for qemu in started] == [f"web{n}" for n in range(12)]
    assert len({qemu.pid for qemu in started if qemu.alive}) == 12


def test_held_qemu_ends_when_told(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(hold=True))
    qemu.qmp()
    qemu.say(DO.POWER_OFF)
    qemu.wait_status("shutdown")
    qemu.quit()
    qemu.wait_ended()
    assert [str(event) for event in qemu.qmp().read_to_end()] == [
        'SHUTDOWN guest=true reason="guest-shutdown"',
        "STOP",
        'SHUTDOWN guest=false reason="host-qmp-quit"',
    ]


def test_qemu_that_exits_in_the_middle_leaves_its_sockets(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(debug_exit=True))
    qemu.say(DO.EXIT)
    qemu.wait_ended()
    assert qemu.left_behind == {".qmp", ".kvmd"}


def test_guest_moves_to_another_node(node: qemus.Qemus) -> None:
    with qemus.Qemus(limit=60) as other:
        source = node.start("web1", guests.polite()).wait_up()
        target = other.start("web1", guests.polite(), qemus.Machine(incoming=True))
        assert target.qmp().status() == "inmigrate"
        source.migrate_to(target)
        assert source.qmp().status() == "postmigrate"
        source.quit()
        source.wait_ended()
        target.wait_up()
        target.press_power_button()
        target.wait_ended()


def test_snapshot_stops_and_resumes(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.polite(), qemus.Machine(snapshots=True)).wait_up()
    said = qemu.qmp().command("human-monitor-command", command_line="savevm one")
    assert said == ""
    assert [str(event) for event in qemu.qmp().events] == ["STOP", "RESUME"]
    qemu.wait_up()


@pytest.mark.parametrize("name", ["grün", "web, 1", "-x", "a=b", "web\udcff1", "SHUTDOWN"])
def test_odd_names_work(node: qemus.Qemus, name: str) -> None:
    qemu = node.start(name, guests.stubborn())
    assert qemu.path(".kvmd").is_socket()
    qemu.say(DO.POWER_OFF)
    qemu.wait_ended()
    assert qemu.left_behind == set()


def test_name_comes_back_with_another_qemu(node: qemus.Qemus) -> None:
    first = node.start("web1", guests.stubborn())
    first.kill()
    second = node.start("web1", guests.stubborn()).wait_up()
    assert second.pid != first.pid
    assert not first.alive
    assert second.alive


def test_failure_to_start_is_told_in_qemu_s_words(node: qemus.Qemus) -> None:
    with pytest.raises(qemus.Failed, match="no-such-device"):
        node.start("web1", guests.idle(), qemus.Machine(extra=("-device", "no-such-device")))


def test_nothing_is_left_after_a_failed_test() -> None:
    roots = []

    def fail() -> None:
        with qemus.Qemus(limit=60) as node:
            roots.append(node.root)
            node.start("web1", guests.idle())
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert guardian.qemus_of(str(roots[0])) == []
    assert not roots[0].exists()


_STARTS_AND_WAITS = """
import json, sys
from lab import guests, qemus
with qemus.Qemus(limit=float(sys.argv[1])) as node:
    pids = [node.start(f"web{n}", guests.idle()).pid for n in range(2)]
    print(json.dumps([str(node.root), *pids]), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["killed", "over its limit"])
def test_nothing_is_left_after_the_test_run_is(end: str) -> None:
    limit = 3.0 if end == "over its limit" else 60.0
    with subprocess.Popen(
        [sys.executable, "-c", _STARTS_AND_WAITS, str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(qemus.__file__).parents[1],
    ) as run:
        assert run.stdout is not None
        root, *pids = json.loads(run.stdout.readline())
        if end == "killed":
            assert len(guardian.qemus_of(root)) == len(pids) == 2
            run.kill()
        qemus.wait_until(lambda: not Path(root).exists(), what="the guardian")
        assert guardian.qemus_of(root) == []
        run.kill()


@pytest.mark.root
def test_qemus_run_as_somebody_else() -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    with qemus.Qemus(user=nobody, limit=60) as node:
        qemu = node.start("web1", guests.stubborn())
        assert qemu.path(".kvmd").stat().st_uid == nobody
        assert Path(f"/proc/{qemu.pid}").stat().st_uid == nobody
        qemu.say(DO.POWER_OFF)
        qemu.wait_ended()
        assert qemu.left_behind == set()


@pytest.mark.root
def test_qemu_that_drops_its_rights_leaves_its_files(node: qemus.Qemus) -> None:
    qemu = node.start("web1", guests.stubborn(), qemus.Machine(run_as="nobody"))
    assert qemu.path(".kvmd").stat().st_uid == 0
    qemu.say(DO.POWER_OFF)
    qemu.wait_ended()
    assert qemu.left_behind == {".qmp", ".kvmd", "pid"}


@pytest.mark.skipif(bool(no_memory_group), reason=no_memory_group)
def test_kernel_kills_a_qemu_whose_group_is_out_of_memory() -> None:
    with qemus.Qemus(limit=60) as node:
        group = node.memory_group(64)
        qemu = node.start("web1", guests.stubborn(), qemus.Machine(memory=256, group=group))
        qemu.say(DO.TOUCH_MEMORY)
        qemu.wait_ended()
        assert memorygroups.oom_kills(group) == 1
        assert qemu.left_behind == {".qmp", ".kvmd", "pid"}
    assert not group.exists()
