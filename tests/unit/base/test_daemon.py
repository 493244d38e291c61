import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyganeti.base import daemon, processes

Until = Callable[[Callable[[], object]], None]


class Program:
    """A daemon's program, whose parts meet in one directory, and whose daemon never stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path / "go")

    def command(self, body: str) -> list[str]:
        text = (
            "import asyncio, json, os, signal, sys, threading\n"
            "from pathlib import Path\n"
            "from pyganeti.base import daemon\n"
            f"place = Path({str(self.path)!r})\n"
            "def wait():\n    (place / 'go').read_bytes()\n"
            "def born():\n"
            "    (place / 'new').write_text(str(os.getpid()))\n"
            "    (place / 'new').rename(place / 'pid')\n"
        )
        return [sys.executable, "-c", text + body]

    def start(self, body: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, body: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(body), capture_output=True, text=True, timeout=30, check=False
        )

    def go_on(self) -> None:
        """Let the daemon return from wait()."""
        with (self.path / "go").open("w"):
            pass

    @property
    def is_born(self) -> bool:
        return (self.path / "pid").exists()

    @property
    def pid(self) -> int:
        return int((self.path / "pid").read_text())

    def has_ended(self) -> bool:
        return not Path(f"/proc/{self.pid}").exists() or processes.state(self.pid) == "Z"


@pytest.fixture
def program(tmp_path: Path, until: Until) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    if made.is_born:
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.pid, signal.SIGKILL)
        until(made.has_ended)


def test_the_command_returns_only_when_the_daemon_is_ready(program: Program, until: Until) -> None:
    command = program.start("started = daemon.detach(); born(); wait(); started.ready(); wait()")
    try:
        until(lambda: program.is_born)
        assert command.poll() is None
        program.go_on()
        assert command.communicate(timeout=20) == ("", "")
        assert command.returncode == 0
        assert not program.has_ended()
        program.go_on()
        until(program.has_ended)
    finally:
        command.kill()
        command.communicate()


def test_a_daemon_keeps_nothing_of_where_it_was_started(program: Program, until: Until) -> None:
    ended = program.run(
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "started = daemon.detach(); started.ready()\n"
        "mask = os.umask(0)\n"
        "facts = {'session': os.getsid(0), 'group': os.getpgid(0), 'pid': os.getpid(),\n"
        "  'mask': mask, 'cwd': os.getcwd(), 'fds': [os.readlink(f'/proc/self/fd/{n}')"
        " for n in range(3)], 'open': sorted(map(int, os.listdir('/proc/self/fd')))[:-1],\n"
        "  'blocked': list(signal.pthread_sigmask(signal.SIG_BLOCK, []))}\n"
        "(place / 'facts').write_text(json.dumps(facts)); born(); wait()"
    )
    assert ended.returncode == 0
    until(lambda: program.is_born)
    facts = json.loads((program.path / "facts").read_text())
    assert facts["session"] != os.getsid(0)
    assert facts["session"] != facts["pid"], "it could get a terminal"
    assert facts["mask"] == 0o027
    assert facts["cwd"] == "/"
    assert facts["fds"] == ["/dev/null"] * 3
    assert facts["open"] == [0, 1, 2]
    assert facts["blocked"] == []
    program.go_on()


def test_the_command_ends_with_the_daemons_message_and_code(program: Program) -> None:
    ended = program.run("daemon.detach().failed('kein Pfad: \\udcff ä\\nline two', 7)")
    assert ended.returncode == 7
    assert ended.stderr == "kein Pfad: \\udcff ä\nline two\n"


def test_an_endless_message_is_cut_and_holds_nobody_up(program: Program) -> None:
    ended = program.run("daemon.detach().failed('x' * 10_000_000)")
    assert ended.returncode == 1
    assert 3000 < len(ended.stderr) < 4100


def test_a_daemon_killed_before_it_is_ready_is_told(program: Program) -> None:
    ended = program.run("daemon.detach(); os.kill(os.getpid(), signal.SIGKILL)")
    assert ended.returncode == 1
    assert "ended before it was ready" in ended.stderr


def test_what_nobody_caught_before_the_daemon_is_ready_is_seen(program: Program) -> None:
    ended = program.run("daemon.detach(); raise KeyError('found nowhere')")
    assert ended.returncode == 1
    assert "KeyError: 'found nowhere'" in ended.stderr
    assert "ended before it was ready" in ended.stderr


def test_a_daemon_that_takes_too_long_is_told_and_goes_on(program: Program, until: Until) -> None:
    command = program.start(
        "s = daemon.detach(0.2); born(); wait(); s.ready(); (place / 'on').touch(); wait()"
    )
    assert command.wait(timeout=20) == 1
    until(lambda: program.is_born)
    assert command.stderr
    assert f"(pid {program.pid}) is not ready" in command.stderr.readline()
    program.go_on()  # now it says that it is ready, though nobody listens
    assert command.communicate(timeout=20) == ("", "")
    until((program.path / "on").exists)
    program.go_on()
    until(program.has_ended)


def test_a_daemon_does_not_need_the_command_that_waits_for_it(
    program: Program, until: Until
) -> None:
    command = program.start(
        "s = daemon.detach(); born(); wait(); s.ready(); (place / 'on').touch(); wait()"
    )
    until(lambda: program.is_born)
    command.kill()
    command.wait()
    program.go_on()
    until((program.path / "on").exists)
    program.go_on()
    until(program.has_ended)
    command.communicate()


def test_detaching_from_threads_is_refused(program: Program) -> None:
    ended = program.run(
        "t = threading.Thread(target=wait, daemon=True); t.start(); daemon.detach(); born()"
    )
    assert "RuntimeError" in ended.stderr
    assert not program.is_born


def test_it_starts_with_its_standard_descriptors_closed(program: Program, until: Until) -> None:
    command = program.command("s = daemon.detach(); born(); s.ready(); wait()")
    shell = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *command]
    assert subprocess.run(shell, timeout=30, check=False).returncode == 0
    until(lambda: program.is_born)
    links = [os.readlink(f"/proc/{program.pid}/fd/{n}") for n in range(3)]  # noqa: PTH115
    assert links == ["/dev/null"] * 3
    program.go_on()


def test_without_room_for_another_process_it_fails_with_a_reason(program: Program) -> None:
    ended = program.run(
        "import resource\n"
        "from pyganeti.base import errors\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))\n"
        "try: daemon.detach()\n"
        "except errors.Exhausted as error: print(error)"
    )
    assert "Too many open files" in ended.stdout


def test_a_hangup_before_the_daemon_listens_does_not_end_it(program: Program, until: Until) -> None:
    program.run("s = daemon.detach(); born(); s.ready(); wait()")
    until(lambda: program.is_born)
    os.kill(program.pid, signal.SIGHUP)
    os.kill(program.pid, 0)
    program.go_on()
    until(program.has_ended)


def test_in_the_foreground_there_is_nobody_to_tell(capfd: pytest.CaptureFixture[str]) -> None:

    started = daemon.Startup()
    started.ready()
    started.failed("not said")
    os.write(2, b"still there")
    assert capfd.readouterr() == ("", "still there")


def test_signals_reach_the_loop_as_often_as_they_come(program: Program, until: Until) -> None:
    program.run(
        "s = daemon.detach()\n"
        "async def main():\n"
        "    loop, count, end = asyncio.get_running_loop(), [0], asyncio.Event()\n"
        "    def reload():\n"
        "        count[0] += 1; (place / f'reload{count[0]}').touch()\n"
        "    def stop():\n"
        "        (place / 'stopping').touch()\n"
        "        if (place / 'allowed').exists(): end.set()\n"
        "    daemon.signals(loop, on_stop=stop, on_reload=reload)\n"
        "    born(); s.ready()\n"
        "    await end.wait()\n"
        "asyncio.run(main())\n"
        "(place / 'ended').touch()\n"
    )
    until(lambda: program.is_born)
    for n in (1, 2):
        os.kill(program.pid, signal.SIGHUP)
        until((program.path / f"reload{n}").exists)
    os.kill(program.pid, signal.SIGTERM)
    until((program.path / "stopping").exists)
    (program.path / "allowed").touch()
    os.kill(program.pid, signal.SIGINT)
    until(program.has_ended)
    assert (program.path / "ended").exists()
