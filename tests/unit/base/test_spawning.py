"""Programs as they are started: what they have of ours, and who waits for their beginning."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import runner, spawning

_ENVIRONMENT = {"PATH": os.environ["PATH"]}


def said_by(*arguments: str, descriptors: tuple[int, ...] = (), path: str = "") -> bytes:
    """Start a program, wait for its end, and return what it wrote."""
    reading, writing = os.pipe()
    source = os.open("/dev/null", os.O_RDONLY)
    try:
        pid = spawning.spawn(
            arguments,
            environment={"PATH": path} if path else _ENVIRONMENT,
            directory="/",
            streams=(source, writing, writing),
            descriptors=descriptors,
        )
    finally:
        os.close(writing)
        os.close(source)
    with os.fdopen(reading, "rb") as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def children() -> set[int]:
    """Return what any thread of ours has started and nobody has reaped."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


@contextlib.contextmanager
def kept_from_beginning(program: Path) -> Iterator[asyncio.Event]:
    """Keep a program from beginning for the block; the value is set when one is about to.

    A lease on its file: the kernel asks us, by a signal, before it opens the file for others.
    """
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGIO, asked.set)
    fd = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield asked
    finally:
        os.close(fd)
        loop.remove_signal_handler(signal.SIGIO)


async def test_a_program_that_is_long_in_beginning_holds_up_nobody(tmp_path: Path) -> None:
    program = script(tmp_path / "slow", "echo begun")
    with kept_from_beginning(program) as asked:
        running = asyncio.create_task(
            runner.run([program], environment=_ENVIRONMENT, timeout=20, apart=True)
        )
        async with asyncio.timeout(10):
            await asked.wait()  # in this loop, by this interpreter
        assert not running.done()
    assert (await running).output == b"begun\n"


async def test_one_that_begins_after_nobody_wants_it_any_more_is_ended(tmp_path: Path) -> None:
    program = script(tmp_path / "slow", f"echo $$ >> {tmp_path}/pids; exec sleep 600")
    before, others = descriptors(), children()
    with kept_from_beginning(program) as asked:
        running = asyncio.create_task(
            runner.run([program], environment=_ENVIRONMENT, timeout=20, apart=True)
        )
        async with asyncio.timeout(10):
            await asked.wait()
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(10):
        while children() - others:  # noqa: ASYNC110 - what is waited for is another process's end
            await asyncio.sleep(0.005)
    assert descriptors() <= before


def test_a_program_has_the_descriptors_that_it_is_given_and_no_others() -> None:
    given = [os.memfd_create(f"given{index}", os.MFD_CLOEXEC) for index in range(5)]
    try:
        os.set_inheritable(given[1], True)  # noqa: FBT003 - as one that we were started with
        os.set_inheritable(given[4], True)  # noqa: FBT003 - likewise
        handed = (given[0], given[3])
        said = said_by("ls", "-l", "/proc/self/fd", descriptors=handed).decode()
        seen = {line.split(" -> ")[0].split()[-1] for line in said.splitlines() if "->" in line}
        assert {str(fd) for fd in handed} <= seen
        assert [line for line in said.splitlines() if "memfd" in line and "given" in line] == [
            line for line in said.splitlines() if "given0" in line or "given3" in line
        ]
    finally:
        for fd in given:
            os.close(fd)


def test_a_program_leads_a_session_of_its_own() -> None:
    pid, _, session = said_by("sh", "-c", "echo $$; cut -d ' ' -f 5,6 /proc/$$/stat").split()
    assert pid == session


def test_signals_that_python_ignores_are_no_longer_ignored() -> None:
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    assert said_by("sh", "-c", "kill -PIPE $$; echo alive") == b""


def test_a_program_is_looked_for_in_the_path_that_it_gets(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
    (first / "tool").write_text("no program, and not to be run")
    script(second / "tool", "echo second")
    assert said_by("tool", path=f"{tmp_path}/nowhere:{first}:{second}") == b"second\n"
    with pytest.raises(PermissionError):
        said_by("tool", path=str(first))
    with pytest.raises(FileNotFoundError, match="tool"):
        said_by("tool", path=f"{tmp_path}/nowhere")


@pytest.mark.parametrize("words", [["/bin/true", "a\0b"], ["/bin/tr\0ue"]])
def test_a_zero_byte_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="null byte"):
        said_by(*words)


async def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        await runner.run(
            ["/bin/true"], environment={}, timeout=1, directory=str(tmp_path / "nothing")
        )


def test_the_first_three_descriptors_may_be_given_in_any_order() -> None:
    # In a process of its own, whose first three are free to be taken.
    program = (
        "import os; from pyganeti.base import spawning\n"
        "kept = os.dup(1); os.set_inheritable(kept, False)\n"
        "os.close(0); os.close(2)\n"
        "out, null = kept, os.open('/dev/null', os.O_RDWR)\n"
        "assert null == 0\n"
        "pid = spawning.spawn(['/bin/sh', '-c', 'echo out; echo err >&2; cat'],\n"
        "    environment={}, directory='/', streams=(null, out, null))\n"
        "os.waitpid(pid, 0)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"out\n"
