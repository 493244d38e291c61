"""Starting, being one of a kind, detaching, ending; and not starting where it is not wanted."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyganeti
from lab import daemons, guests, qemus

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

DO = guests.Command


def test_second_daemon_on_the_same_node_is_refused_by_name_and_pid(
    kvmd: daemons.Kvmd, node: qemus.Qemus
) -> None:
    refused = kvmd.ask("-f")
    assert refused.returncode == 1
    assert f"pid {kvmd.pid}" in refused.stderr
    assert kvmd.alive
    qemu = node.start("web1", guests.stubborn())
    kvmd.wait_watching(qemu)
    qemu.say(DO.POWER_OFF)
    assert kvmd.wait_stop(qemu).cause == "user-poweroff"


def test_second_daemon_on_the_same_directory_is_refused_wherever_its_own_files_are(
    kvmd: daemons.Kvmd, node: qemus.Qemus, short_dir: Path
) -> None:
    kvmd.environment["GANETI_ROOTDIR"] = str(short_dir)
    refused = kvmd.ask("-f", "--ctrl-dir", str(node.ctrl_dir))
    assert refused.returncode == 1
    assert f"pid {kvmd.pid}" in refused.stderr
    assert str(node.ctrl_dir) in refused.stderr


def test_directory_is_free_again_once_a_daemon_was_killed(kvmd: daemons.Kvmd) -> None:
    for _ in range(3):
        kvmd.restart()
    assert kvmd.stop() == 0


def test_daemons_of_two_directories_do_not_disturb_each_other(
    kvmd: daemons.Kvmd, node: qemus.Qemus, short_dir: Path
) -> None:
    with daemons.Kvmd(
        node, "--ctrl-dir", str(short_dir), journal=short_dir / "journal.sqlite"
    ) as other:
        assert other.alive
        assert kvmd.alive
        assert other.stop() == 0


@pytest.fixture
def detached(node: qemus.Qemus) -> Iterator[daemons.Kvmd]:
    """Start a daemon the way an operator does; it is ended if the test has not."""
    kvmd = daemons.Kvmd(node)
    done = kvmd.ask()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int(pid_file(node).read_text())
    node.guard(pid)
    yield kvmd
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    print(log_file(node).read_text())  # noqa: T201 - pytest shows it if the test failed


def pid_file(node: qemus.Qemus) -> Path:
    return node.run_dir / "ganeti-kvmd.pid"


def log_file(node: qemus.Qemus) -> Path:
    return node.root / "var/log/ganeti/kvm-daemon.log"


def test_detached_daemon_is_ready_when_the_command_returns(
    detached: daemons.Kvmd, node: qemus.Qemus
) -> None:
    pid = int(pid_file(node).read_text())
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert os.getsid(pid) not in (os.getsid(0), pid)
    again = detached.ask()
    assert again.returncode == 1
    assert f"pid {pid}" in again.stderr
    qemu = node.start("web1", guests.stubborn())
    qemus.wait_until(lambda: "web1" in detached.watched(), what="watch over web1")
    qemu.say(DO.POWER_OFF)
    qemus.wait_until(lambda: detached.has_marker("web1"), what="the marker")
    os.kill(pid, signal.SIGTERM)
    qemus.wait_until(lambda: not pid_file(node).exists(), what="the pid file to go")
    assert [str(stop.cause) for stop in detached.recorded()] == ["user-poweroff"]


def test_sighup_reopens_the_log(detached: daemons.Kvmd, node: qemus.Qemus) -> None:
    pid = int(pid_file(node).read_text())
    log = log_file(node)
    old = log.rename(log.with_suffix(".old"))
    os.kill(pid, signal.SIGHUP)
    qemus.wait_until(lambda: log.exists() and "reopened" in log.read_text(), what="a new log")
    assert "started" in old.read_text()
    os.kill(pid, signal.SIGTERM)
    qemus.wait_until(lambda: not pid_file(node).exists(), what="the pid file to go")
    assert "ended" in log.read_text()


def test_sighup_in_the_foreground_does_no_harm(kvmd: daemons.Kvmd) -> None:
    kvmd.signal(signal.SIGHUP)
    kvmd.wait_logged("reopened")
    assert kvmd.alive


def test_service_manager_is_told_of_start_life_and_end(node: qemus.Qemus) -> None:
    with daemons.Kvmd(node, environment={"WATCHDOG_USEC": "300000"}) as kvmd:
        kvmd.wait_said("WATCHDOG=1")
        kvmd.wait_said("WATCHDOG=1")
        kvmd.signal(signal.SIGTERM)
        kvmd.wait_said("STOPPING=1")
        assert kvmd.wait_ended() == 0


WANTED = {
    "hypervisor_list": "xen-pvm\nkvm\n",
    "enabled_user_shutdown": "True\n",
    "node_vm_capable": "node0.lab.example=False\nnode1.lab.example=True\n",
}


def cluster(node: qemus.Qemus, **changed: str | None) -> None:
    state = node.root / "var/lib/ganeti"
    state.mkdir(parents=True)
    for name, content in {**WANTED, **changed}.items():
        if content is not None:
            (state / f"ssconf_{name}").write_text(content)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"hypervisor_list": "xen-pvm\n"}, "KVM"),
        ({"enabled_user_shutdown": "False\n"}, "user shutdown"),
        ({"enabled_user_shutdown": None}, "user shutdown"),
        ({"node_vm_capable": "node1.lab.example=False\n"}, "node1.lab.example"),
    ],
)
@pytest.mark.parametrize("flags", [("-f",), ()])
def test_cluster_that_does_not_want_it_is_told_so_in_one_line(
    node: qemus.Qemus, changed: dict[str, str | None], says: str, flags: tuple[str, ...]
) -> None:
    cluster(node, **changed)
    done = daemons.Kvmd(node).ask(*flags)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert says in done.stdout
    assert not pid_file(node).exists()


def test_cluster_that_wants_it_gets_it(node: qemus.Qemus) -> None:
    cluster(node)
    with daemons.Kvmd(node) as kvmd:
        assert kvmd.stop() == 0


def test_directory_of_one_s_own_is_watched_whatever_the_cluster_says(
    node: qemus.Qemus, short_dir: Path
) -> None:
    cluster(node, enabled_user_shutdown="False\n")
    with daemons.Kvmd(node, "--ctrl-dir", str(short_dir)) as kvmd:
        assert kvmd.stop() == 0


def test_other_socket_suffixes_and_one_session_for_two_sockets_of_a_guest(
    node: qemus.Qemus,
) -> None:
    machine = qemus.Machine(sockets=(".admin", ".kvmd", ".qmp"))
    with daemons.Kvmd(node, "--socket-suffix", ".qmp", "--socket-suffix", ".kvmd") as kvmd:
        both = node.start("web1", guests.stubborn(), machine)
        one = node.start("web2", guests.stubborn(), qemus.Machine(sockets=(".admin", ".kvmd")))
        kvmd.wait_watching(both, one)
        for qemu in (both, one):
            qemu.say(DO.POWER_OFF)
            assert kvmd.wait_stop(qemu).cause == "user-poweroff"
            assert len(kvmd.stops_of(qemu)) == 1
            assert len(kvmd.log_lines(" attached ", f"qemu_pid={qemu.pid} ")) == 1


@pytest.mark.root
def test_plain_user_watches_his_own_qemus() -> None:
    """With the machine's own Python, since the tests' may lie where only root may look."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    nobody = 65534
    path = os.pathsep.join(
        (str(Path(pyganeti.__file__).parents[1]), *(p for p in sys.path if "site-packages" in p))
    )
    user = ("setpriv", "--reuid", str(nobody), "--regid", str(nobody), "--clear-groups", "--")
    run = (*user, str(python), "-c", "import pyganeti.kvmd.app")
    environment = {**os.environ, "PYTHONPATH": path}
    if (
        python is None
        or subprocess.run(run, check=False, env=environment, capture_output=True).returncode
    ):
        pytest.skip("no Python outside the tests' own can import the project as another user")
    with qemus.Qemus(user=nobody, limit=60) as node:
        os.chown(node.root, nobody, nobody)
        for directory in (node.run_dir, node.run_dir.parent, node.run_dir.parents[1]):
            os.chown(directory, nobody, nobody)
        kvmd = daemons.Kvmd(
            node,
            wrapper=user,
            program=(python, "-m", "pyganeti.kvmd.command"),
            environment={"PYTHONPATH": path},
        )
        with kvmd:
            ended, killed = (node.start(name, guests.stubborn()) for name in ("web1", "web2"))
            kvmd.wait_watching(ended, killed)
            ended.say(DO.POWER_OFF)
            assert kvmd.wait_stop(ended).cause == "user-poweroff"
            assert ended.path(".shutdown").stat().st_uid == nobody
            killed.kill()
            assert kvmd.wait_stop(killed).cause in ("killed", "unknown")
