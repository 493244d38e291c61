"""Exit statuses by pidfd, compared with what the parent itself is told."""

import os
import resource
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyganeti.base import errors, pidfd

_needs_statuses = pytest.mark.skipif(
    not pidfd.supported(), reason="needs exit statuses by pidfd (Linux 6.15)"
)


class Child:
    """A shell command whose reaping is ours to time."""

    def __init__(self, command: str) -> None:
        self.pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], dict(os.environ))
        self.fd = pidfd.open(self.pid)
        self.reaped = False

    def wait_until_ended(self) -> None:
        assert self.fd is not None
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        assert poll.poll(10_000)

    def reap(self) -> int:
        status = os.waitpid(self.pid, 0)[1]
        self.reaped = True
        return status


@pytest.fixture
def spawn() -> Iterator[Callable[[str], Child]]:
    children: list[Child] = []

    def spawn(command: str) -> Child:
        children.append(Child(command))
        return children[-1]

    yield spawn
    for child in children:
        if child.fd is not None:
            os.close(child.fd)
        if not child.reaped:
            os.kill(child.pid, signal.SIGKILL)
            child.reap()


@_needs_statuses
@pytest.mark.parametrize("code", [0, 1, 83, 255])
def test_an_exit_code_is_told(spawn: Callable[[str], Child], code: int) -> None:
    child = spawn(f"exit {code}")
    assert child.fd is not None
    child.wait_until_ended()
    assert child.reap() == code << 8
    assert pidfd.exit_status(child.fd) == code << 8


@_needs_statuses
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV, signal.SIGABRT]
)
def test_the_signal_is_told_as_the_parent_sees_it(
    spawn: Callable[[str], Child], number: int
) -> None:
    child = spawn("ulimit -c 0; exec sleep 600")
    assert child.fd is not None
    os.kill(child.pid, number)
    child.wait_until_ended()
    status = child.reap()
    assert status == number
    assert pidfd.exit_status(child.fd) == status


@_needs_statuses
def test_a_core_dump_is_told(spawn: Callable[[str], Child], short_dir: Path) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern != "core":
        pytest.skip(f"cores do not go to the working directory here, but to {pattern!r}")
    child = spawn(f"cd {short_dir}; ulimit -c unlimited && echo > ready && exec sleep 600")
    assert child.fd is not None
    while not (short_dir / "ready").exists():
        os.sched_yield()
    os.kill(child.pid, signal.SIGABRT)
    child.wait_until_ended()
    status = child.reap()
    if not os.WCOREDUMP(status):
        pytest.skip("no core was dumped here")
    assert status == signal.SIGABRT | 0x80
    assert pidfd.exit_status(child.fd) == status


def test_a_living_process_has_no_status(spawn: Callable[[str], Child]) -> None:
    child = spawn("exec sleep 600")
    assert child.fd is not None
    assert pidfd.exit_status(child.fd) is None


def test_before_it_is_reaped_there_is_no_status(spawn: Callable[[str], Child]) -> None:
    child = spawn("exit 3")
    assert child.fd is not None
    child.wait_until_ended()
    assert pidfd.exit_status(child.fd) is None


def test_a_process_that_is_gone_cannot_be_held(spawn: Callable[[str], Child]) -> None:
    child = spawn("exit 0")
    child.reap()
    assert pidfd.open(child.pid) is None
    assert pidfd.open(0) is None
    assert pidfd.open(-1) is None


def test_a_descriptor_of_another_kind_has_no_status() -> None:
    with Path("/dev/null").open("rb") as other:
        assert pidfd.exit_status(other.fileno()) is None


def test_without_descriptors_left_it_says_so() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(errors.Exhausted):
            pidfd.open(os.getpid())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    held = pidfd.open(os.getpid())
    assert held is not None
    os.close(held)
