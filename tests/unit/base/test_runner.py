"""Programs that hang, flood, fork, hide and cannot be started."""

import asyncio
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyganeti.base import errors, processes, runner

_ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def _sh(script: str, *, timeout: float = 20, stdin: bytes = b"", limit: int = 65536,
              directory: str = "/") -> runner.Finished:  # fmt: skip
    return await runner.run(
        ["sh", "-c", script],
        environment=_ENVIRONMENT,
        timeout=timeout,
        stdin=stdin,
        output_limit=limit,
        directory=directory,
    )


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process's doing
            await asyncio.sleep(0.005)


def _are_dead(pids: Path) -> bool:
    found = [int(word) for word in pids.read_text().split()]
    return all(processes.state(pid) in (None, "Z", "X") for pid in found)


def _descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


async def test_status_and_output_of_both_kinds_are_told() -> None:
    finished = await _sh("echo out; echo err >&2; exit 7")
    assert finished.status == 7
    assert sorted(finished.output.split()) == [b"err", b"out"]
    assert not finished.timed_out
    assert not finished.truncated


async def test_the_two_outputs_are_kept_apart_if_asked() -> None:
    finished = await runner.run(
        ["sh", "-c", "echo out; echo err >&2"], environment=_ENVIRONMENT, timeout=20, separate=True
    )
    assert (finished.output, finished.complaints) == (b"out\n", b"err\n")


async def test_output_goes_to_a_log_if_there_is_one(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        finished = await runner.run(
            ["sh", "-c", "echo out; echo err >&2; exit 3"],
            environment=_ENVIRONMENT,
            timeout=20,
            log=log.fileno(),
        )
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert (finished.status, finished.output) == (3, b"")


async def test_descriptors_are_handed_down_and_stay_ours() -> None:
    given = os.memfd_create("given", os.MFD_CLOEXEC)
    try:
        finished = await runner.run(
            ["sh", "-c", f"echo word >/proc/self/fd/{given}"],
            environment=_ENVIRONMENT,
            timeout=20,
            descriptors=[given],
        )
        assert finished.status == 0
        assert os.pread(given, 10, 0) == b"word\n"
    finally:
        os.close(given)


async def test_a_signal_is_told_as_a_negative_status() -> None:
    assert (await _sh("kill -SEGV $$")).status == -signal.SIGSEGV


async def test_a_program_gets_that_environment_and_directory_alone(tmp_path: Path) -> None:
    finished = await runner.run(
        ["/usr/bin/env"], environment={"A": "b c", "D": "é\udcff"}, timeout=20
    )
    assert set(finished.output.split(b"\n")) == {b"A=b c", "D=é".encode() + b"\xff", b""}
    assert (await _sh("pwd", directory=str(tmp_path))).output.strip() == os.fsencode(tmp_path)


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
async def test_input_of_any_size_is_there_to_read(size: int) -> None:
    finished = await _sh("wc -c", stdin=b"x" * size)
    assert int(finished.output) == size


async def test_input_may_be_left_unread() -> None:
    assert (await _sh("exit 0", stdin=b"x" * 1_000_000)).status == 0


async def test_a_program_that_cannot_be_run_raises_what_the_kernel_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    with pytest.raises(PermissionError):
        await runner.run([plain], environment={}, timeout=1)
    plain.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        await runner.run([plain], environment={}, timeout=1)
    with pytest.raises(FileNotFoundError):
        await runner.run([tmp_path / "nothing"], environment={}, timeout=1)


async def test_when_time_is_up_the_whole_group_is_killed(tmp_path: Path) -> None:
    script = (
        f"trap '' TERM HUP INT; cd {tmp_path}; echo begun;"
        "(trap '' TERM; echo $$ >> pids; sleep 600) & sleep 600 & echo $! >> pids;"
        "echo $$ >> pids; while :; do wait; done"
    )
    finished = await _sh(script, timeout=0.5)
    assert finished.timed_out
    assert finished.status == -signal.SIGKILL
    assert finished.output == b"begun\n"
    assert 0.5 <= finished.seconds < 5
    await _until(lambda: _are_dead(tmp_path / "pids"))


async def test_children_that_hold_the_output_have_the_time_that_is_left(tmp_path: Path) -> None:
    finished = await _sh("(sleep 0.2; echo late) & exit 0")
    assert finished.output == b"late\n"
    assert finished.status == 0
    assert not finished.timed_out


async def test_children_that_have_let_go_of_the_output_are_not_left_behind(tmp_path: Path) -> None:
    finished = await _sh(f"sleep 600 >/dev/null 2>&1 & echo $! > {tmp_path}/pids; exit 0")
    assert finished.status == 0
    assert finished.seconds < 5
    await _until(lambda: _are_dead(tmp_path / "pids"))


async def test_a_daemon_that_holds_the_output_does_not_hold_us(tmp_path: Path) -> None:
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pids; exec sleep 600' & exit 0"
    finished = await _sh(script, timeout=0.5)
    assert finished.timed_out
    assert finished.status == 0
    await _until((tmp_path / "pids").exists)
    os.kill(int((tmp_path / "pids").read_text()), signal.SIGKILL)


async def test_a_flood_is_cut_and_does_not_take_the_loop() -> None:
    before = time.process_time()
    finished = await _sh("exec yes", timeout=1, limit=1000)
    assert finished.truncated
    assert finished.timed_out
    assert finished.output == b"y\n" * 500
    assert time.process_time() - before < 0.5


async def test_more_output_than_is_kept_ends_no_program() -> None:
    finished = await _sh("head -c 300000 /dev/zero; exit 3", limit=10)
    assert finished.status == 3
    assert finished.truncated
    assert finished.output == b"\0" * 10


async def test_cancelling_kills_and_leaves_nothing(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    running = asyncio.create_task(_sh(f"echo $$ > {pids}; sleep 600"))
    await _until(lambda: pids.exists() and pids.read_text() != "")
    before = len(_descriptors())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes.state(int(pids.read_text())) is None
    assert len(_descriptors()) < before


async def test_no_descriptor_of_ours_reaches_a_program() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)  # noqa: FBT003 - as one that we were started with
    finished = await runner.run(["/bin/ls", "/proc/self/fd"], environment={}, timeout=20)
    os.close(reading)
    os.close(writing)
    assert finished.output.split() == [b"0", b"1", b"2", b"3"]  # 3 is ls's own


async def test_no_thread_and_no_descriptor_is_left() -> None:
    threads, descriptors = threading.active_count(), len(_descriptors())
    await asyncio.gather(*(_sh("exit 0") for _ in range(20)))
    assert threading.active_count() == threads
    assert len(_descriptors()) == descriptors


@pytest.mark.parametrize("spare", range(8))
async def test_without_descriptors_it_runs_or_says_so(spare: int) -> None:
    before = len(_descriptors())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(_descriptors())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
    free = [os.dup(0) for _ in range(highest + 1 - before)]
    try:
        finished = await _sh("echo well")
        assert finished.output == b"well\n"
    except errors.Exhausted:
        assert spare < 6
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in free:
            os.close(fd)
    assert len(_descriptors()) == before
