"""The end of a process is told once, with its status, by whichever source there is."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator

import pytest

from pyganeti.base import poller, processes
from pyganeti.kvmd import descriptors
from pyganeti.kvmd.judging import qemuprocess

_DEADLINE = 10.0
_PLENTY = 10_000
_NONE = 0


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


class Followed:
    """What followed processes on one loop tell."""

    def __init__(self, limit: int) -> None:
        self.poller = poller.Poller(asyncio.get_running_loop())
        self.budget = descriptors.Budget(limit)
        self.processes = qemuprocess.QemuProcesses(self.poller, self.budget)
        self.ended: list[str] = []
        self.news = asyncio.Event()

    def follow(self, pid: int, key: str) -> None:
        self.processes.follow(pid, processes.start_ticks(pid), key, lambda: self._end(key))

    def _end(self, key: str) -> None:
        self.ended.append(key)
        self.news.set()

    async def hear(self) -> None:
        async with asyncio.timeout(_DEADLINE):
            await self.news.wait()

    def close(self) -> None:
        self.processes.close()
        self.poller.close()


@pytest.mark.parametrize(("number", "signalled"), [(signal.SIGKILL, 9), (signal.SIGSEGV, 11)])
async def test_a_held_process_tells_its_end_once_and_by_which_signal(
    sleeper: subprocess.Popen[bytes], number: signal.Signals, signalled: int
) -> None:
    followed = Followed(_PLENTY)
    ticks = processes.start_ticks(sleeper.pid)
    followed.follow(sleeper.pid, "web1")
    assert not followed.processes.has_ended(sleeper.pid, ticks)
    assert followed.budget.processes == 1

    os.kill(sleeper.pid, number)
    await followed.hear()
    assert followed.processes.has_ended(sleeper.pid, ticks)
    sleeper.wait()
    status = followed.processes.exit_status(sleeper.pid, ticks)
    assert status is not None
    assert status.signal == signalled
    assert followed.ended == ["web1"]

    followed.processes.unfollow(sleeper.pid, "web1")
    assert followed.budget.processes == 0
    followed.close()


async def test_all_guests_of_a_shared_process_are_told_over_one_descriptor(
    sleeper: subprocess.Popen[bytes],
) -> None:
    followed = Followed(_PLENTY)
    for name in ("a", "b", "c"):
        followed.follow(sleeper.pid, name)
    assert followed.budget.processes == 1
    followed.processes.unfollow(sleeper.pid, "b")
    sleeper.kill()
    await followed.hear()
    assert followed.ended == ["a", "c"]
    followed.close()
    assert followed.budget.processes == 0


async def test_a_zombie_tells_its_status_before_its_parent_looks(
    sleeper: subprocess.Popen[bytes],
) -> None:
    followed = Followed(_PLENTY)
    ticks = processes.start_ticks(sleeper.pid)
    followed.follow(sleeper.pid, "web1")
    sleeper.kill()
    await followed.hear()
    status = followed.processes.exit_status(sleeper.pid, ticks)
    assert status is not None
    assert (status.source, status.signal) == ("zombie", signal.SIGKILL)
    followed.close()


@pytest.mark.root
async def test_without_descriptors_the_kernel_s_news_tell_the_end_and_its_status(
    sleeper: subprocess.Popen[bytes],
) -> None:
    followed = Followed(_NONE)
    ticks = processes.start_ticks(sleeper.pid)
    followed.follow(sleeper.pid, "web1")
    assert followed.budget.processes == 0
    assert followed.processes.is_held(sleeper.pid)

    sleeper.terminate()
    await followed.hear()
    sleeper.wait()
    status = followed.processes.exit_status(sleeper.pid, ticks)
    assert status is not None
    assert (status.source, status.signal) == ("proc connector", signal.SIGTERM)
    followed.close()


@pytest.mark.root
async def test_an_end_whose_news_the_kernel_drops_is_found_without_its_status(
    sleeper: subprocess.Popen[bytes],
) -> None:
    followed = Followed(_NONE)
    ticks = processes.start_ticks(sleeper.pid)
    before = set(_sockets())
    followed.follow(sleeper.pid, "web1")
    (connector,) = set(_sockets()) - before
    with socket.socket(fileno=os.dup(connector)) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(40):
        subprocess.run(["true"], check=True)  # noqa: ASYNC221 - nobody is to read meanwhile
    sleeper.kill()
    sleeper.wait()

    await followed.hear()
    assert followed.ended == ["web1"]
    assert followed.processes.has_ended(sleeper.pid, ticks)
    assert followed.processes.exit_status(sleeper.pid, ticks) is None
    followed.close()


def _sockets() -> list[int]:
    """Return this process's descriptors that are sockets."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - only names
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.append(int(name))
    return found


async def test_a_number_in_new_hands_counts_as_ended(sleeper: subprocess.Popen[bytes]) -> None:
    followed = Followed(_PLENTY)
    ticks = processes.start_ticks(sleeper.pid)
    assert ticks is not None
    assert followed.processes.has_ended(sleeper.pid, ticks - 1)
    assert not followed.processes.may_still_tell(sleeper.pid, ticks - 1)
    followed.close()


async def test_a_process_that_was_gone_before_cannot_tell_any_more(
    sleeper: subprocess.Popen[bytes],
) -> None:
    ticks = processes.start_ticks(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    followed = Followed(_PLENTY)
    followed.processes.follow(sleeper.pid, ticks, "web1", lambda: None)
    assert followed.processes.has_ended(sleeper.pid, ticks)
    assert not followed.processes.may_still_tell(sleeper.pid, ticks)
    assert followed.processes.exit_status(sleeper.pid, ticks) is None
    followed.close()


async def test_a_number_in_new_hands_tells_nothing_of_the_one_that_had_it(
    sleeper: subprocess.Popen[bytes],
) -> None:
    followed = Followed(_PLENTY)
    ticks = (processes.start_ticks(sleeper.pid) or 0) - 1
    followed.processes.follow(sleeper.pid, ticks, "web1", lambda: followed.ended.append("web1"))
    assert followed.processes.has_ended(sleeper.pid, ticks)
    assert not followed.processes.may_still_tell(sleeper.pid, ticks)
    assert followed.budget.processes == 0

    sleeper.kill()
    sleeper.wait()
    assert followed.processes.exit_status(sleeper.pid, ticks) is None
    assert followed.ended == []
    followed.close()
