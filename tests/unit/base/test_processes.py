"""/proc as it is, and as it can be: odd names, zombies, dying threads, hidden statuses."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import errors, processes


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as child:
        yield child
        child.kill()


def _end_without_reaping(child: subprocess.Popen[bytes], with_signal: int) -> None:
    child.send_signal(with_signal)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def _pretend(proc: Path, pid: int, *, comm: str = "qemu", state: str = "Z", threads: int = 1,
             ticks: int = 77, code: int = 9) -> None:  # fmt: skip
    fields = ["0"] * 53
    fields[0], fields[1], fields[2] = str(pid), f"({comm})", state
    fields[19], fields[21], fields[51] = str(threads), str(ticks), str(code)
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "stat").write_text(" ".join(fields) + "\n")


def test_a_process_that_has_ended_but_is_not_reaped_is_ending(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert not processes.is_ending(sleeper.pid)
    _end_without_reaping(sleeper, signal.SIGKILL)
    assert processes.is_ending(sleeper.pid)
    sleeper.wait()
    assert not processes.is_ending(sleeper.pid)


def test_a_process_is_dated(sleeper: subprocess.Popen[bytes]) -> None:
    ticks = processes.start_ticks(sleeper.pid)
    assert ticks is not None
    assert abs(processes.started_at(ticks) - time.time()) < 5


def test_a_living_process_has_a_state_and_no_status(sleeper: subprocess.Popen[bytes]) -> None:
    ticks = processes.start_ticks(sleeper.pid)
    assert ticks is not None
    assert processes.state(sleeper.pid) in ("S", "R", "D")
    assert processes.zombie_status(sleeper.pid, ticks) is None
    assert processes.exists(sleeper.pid)


def test_a_number_that_nobody_has_is_told_from_a_process(
    sleeper: subprocess.Popen[bytes],
) -> None:
    sleeper.kill()
    sleeper.wait()
    assert processes.start_ticks(sleeper.pid) is None
    assert processes.state(sleeper.pid) is None
    assert processes.zombie_status(sleeper.pid, 1) is None
    assert processes.command_line(sleeper.pid) == ()
    assert not processes.exists(sleeper.pid)
    assert not processes.exists(0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_zombie_tells_the_signal(sleeper: subprocess.Popen[bytes], number: int) -> None:
    ticks = processes.start_ticks(sleeper.pid)
    assert ticks is not None
    _end_without_reaping(sleeper, number)
    status = processes.zombie_status(sleeper.pid, ticks)
    assert status is not None
    assert status & 0x7F == number
    assert processes.state(sleeper.pid) == "Z"
    assert processes.exists(sleeper.pid)
    assert processes.zombie_status(sleeper.pid, ticks + 1) is None


def test_a_zombie_tells_the_exit_code() -> None:
    with subprocess.Popen(["sh", "-c", "exit 83"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        ticks = processes.start_ticks(child.pid)
        assert ticks is not None
        assert processes.zombie_status(child.pid, ticks) == 83 << 8


@pytest.mark.root
def test_a_status_that_the_kernel_hides_is_not_taken_for_zero(
    sleeper: subprocess.Popen[bytes],
) -> None:
    ticks = processes.start_ticks(sleeper.pid)
    assert ticks is not None
    _end_without_reaping(sleeper, signal.SIGKILL)
    stranger = os.fork()
    if stranger == 0:
        os.setuid(65534)
        os._exit(7 if processes.zombie_status(sleeper.pid, ticks) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == 7


def test_a_zombie_whose_threads_are_still_dying_has_no_status_yet(tmp_path: Path) -> None:
    _pretend(tmp_path, 5, threads=3)
    _pretend(tmp_path, 6, threads=1)
    assert processes.zombie_status(5, 77, proc=str(tmp_path)) is None
    assert processes.zombie_status(6, 77, proc=str(tmp_path)) == 9


@pytest.mark.parametrize("comm", ["a b", "a) Z 1 (b", "))", "", "é\n) R 1"])
def test_a_command_may_hold_anything(tmp_path: Path, comm: str) -> None:
    _pretend(tmp_path, 5, comm=comm, state="S", ticks=4242)
    assert processes.start_ticks(5, proc=str(tmp_path)) == 4242
    assert processes.state(5, proc=str(tmp_path)) == "S"


def test_a_real_program_of_an_odd_name_is_read_right(short_dir: Path) -> None:
    program = short_dir / "a) Z 1 (b"
    found = shutil.which("sleep")
    assert found is not None
    shutil.copy(found, program)
    with subprocess.Popen([program, "600"]) as child:
        assert processes.state(child.pid) in ("S", "R", "D")
        assert processes.start_ticks(child.pid) is not None
        child.kill()


@pytest.mark.parametrize("content", [b"", b"garbage", b"5 (qemu) S", b"5 (qemu"])
def test_a_cut_stat_is_no_process(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "stat").write_bytes(content)
    assert processes.start_ticks(5, proc=str(tmp_path)) is None
    assert processes.state(5, proc=str(tmp_path)) is None


def test_arguments_come_as_they_were_given() -> None:
    given = [b"sh", b"-c", b"read x", b"sleep", b"600", b"\xff\xfe", b"", b"last\n"]
    with subprocess.Popen(given, stdin=subprocess.PIPE) as child:
        while not (found := processes.command_line(child.pid)):  # it is just being executed
            os.sched_yield()
        assert found == tuple(given)
        child.kill()


def test_without_descriptors_a_process_is_not_taken_for_gone() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(errors.Exhausted):
            processes.state(os.getpid())
        assert processes.exists(os.getpid())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_peer_of_a_socket_is_known_and_the_socket_stays_open() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert processes.peer_pid(here.fileno()) == os.getpid()
        here.send(b"x")
        assert there.recv(1) == b"x"


def test_the_boot_is_known() -> None:
    assert len(processes.boot_id()) == 36
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(time.time() - uptime - processes.boot_time()) < 2
