import asyncio
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pyganeti.base import descriptors, errors, log

Until = Callable[[Callable[[], object]], None]

_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: prog pid=(\d+) ([A-Z]+) (.*)$")

_TALKER = """
import asyncio, sys
from pathlib import Path
from pyganeti.base import daemon, log
target = log.configure(program="prog", foreground=False, file=Path(sys.argv[1]))
said = log.get("talker")
async def main():
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    daemon.signals(loop, on_stop=end.set, on_reload=target.reopen)
    n = 0
    while not end.is_set():
        n += 1
        said.info("line", n=n)
        await asyncio.sleep(0.0005)
asyncio.run(main())
target.close()
"""

_FLOODER = """
from pyganeti.base import log
log.configure(program="prog", foreground=True)
for n in range(3000):
    log.get("flooder").info("a line of a flood that nobody reads", n=n)
"""

_FAILING = """
import sys, threading
from pathlib import Path
from pyganeti.base import log
log.configure(program="prog", foreground=False, file=Path(sys.argv[1]))
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
{}["missing"]
"""


class Disk(Protocol):
    path: Path

    def fill(self) -> None: ...

    def free(self) -> None: ...


class Configure(Protocol):
    def __call__(
        self,
        file: Path | None = None,
        *,
        foreground: bool = False,
        debug: bool = False,
        syslog: log.Syslog = "no",
        address: Path = Path("/nonexistent/log"),
    ) -> log.Target: ...


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Return what configures logging, and put all back in the end."""
    made: list[log.Target] = []
    before = descriptors.open_count()

    def start(
        file: Path | None = None,
        *,
        foreground: bool = False,
        debug: bool = False,
        syslog: log.Syslog = "no",
        address: Path = Path("/nonexistent/log"),
    ) -> log.Target:
        target = log.configure(
            program="prog",
            foreground=foreground,
            debug=debug,
            syslog=syslog,
            file=file,
            syslog_address=str(address),
        )
        made.append(target)
        return target

    yield start
    for target in made:
        target.close()
    assert descriptors.open_count() == before


@pytest.fixture
def said() -> log.Log:
    return log.get("pyganeti.test")


def messages(path: Path) -> list[str]:
    found = [_LINE.match(line) for line in path.read_text().splitlines()]
    return [f"{match[2]} {match[3]}" if match else "?" for match in found]


def test_a_line_has_time_program_pid_level_and_fields(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    path = tmp_path / "new/log/prog.log"
    configure(path)
    said.info("a guest stopped", name="web1", cause="user-poweroff")
    said.warning("odd", what="two words\nand a line")
    line = path.read_text().splitlines()[0]
    match = _LINE.match(line)
    assert match
    assert int(match[1]) == os.getpid()
    assert messages(path) == [
        "INFO a guest stopped name=web1 cause=user-poweroff",
        'WARNING odd what="two words\\nand a line"',
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_debugging_is_dropped_unless_asked_for(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    configure(tmp_path / "a")
    said.debug("dropped")
    configure(tmp_path / "b", debug=True)
    said.debug("kept", n=1)
    assert (tmp_path / "a").read_text() == ""
    assert "pyganeti.test DEBUG kept n=1\n" in (tmp_path / "b").read_text()


def test_other_libraries_records_come_along_on_one_line(
    configure: Configure, tmp_path: Path
) -> None:
    configure(tmp_path / "log")
    logging.getLogger("asyncio").error("task %r\nfailed", "x\x1b")
    assert messages(tmp_path / "log") == ["ERROR task 'x\\x1b'\\nfailed"]


def test_a_record_that_cannot_be_made_is_told_instead_of_raised(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    target = configure(tmp_path / "log")
    record = logging.LogRecord("other", logging.WARNING, "", 0, "%d of %s", ("one",), None)
    target.handle(record)
    said.info("next")
    assert messages(tmp_path / "log") == [
        "WARNING a record of other could not be logged",
        "INFO next",
    ]


def test_an_exception_comes_with_its_traceback_indented(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    configure(tmp_path / "log")
    try:
        dict[str, int]()["x\n2026-01-01 00:00:00,000: prog pid=1 INFO forged"]
    except KeyError:
        said.exception("failed", step=2)
    first, *rest = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("ERROR failed step=2")
    assert any("KeyError" in line for line in rest)
    assert all(line.startswith("    ") for line in rest)


async def test_bound_fields_stay_with_the_task_they_were_bound_in(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    configure(tmp_path / "log")

    async def work(job: int) -> None:
        with log.bind(job=job):
            await asyncio.sleep(0)
            said.info("working", step=1)
            with log.bind(step=2, more="x"):
                said.info("working")
        said.info("idle")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work(1))
        tasks.create_task(work(2))
    assert sorted(messages(tmp_path / "log")) == [
        "INFO idle",
        "INFO idle",
        "INFO working job=1 step=1",
        "INFO working job=1 step=2 more=x",
        "INFO working job=2 step=1",
        "INFO working job=2 step=2 more=x",
    ]


def test_many_threads_never_mix_their_lines(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    configure(tmp_path / "log")

    def talk(thread: int) -> None:
        for n in range(200):
            said.info("line", thread=thread, n=n)

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"INFO line thread={t} n={n}" for t in range(6) for n in range(200)}
    found = messages(tmp_path / "log")
    assert len(found) == 1200
    assert set(found) == expected


def test_closing_gives_everything_back(configure: Configure, said: log.Log, tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, sys.excepthook, threading.excepthook)
    target = configure(tmp_path / "log", debug=True)
    assert sys.excepthook is not before[2]
    target.close()
    target.close()
    assert (list(root.handlers), root.level, sys.excepthook, threading.excepthook) == before
    said.error("nowhere")
    assert (tmp_path / "log").read_text() == ""


def test_configuring_again_replaces_the_first(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    configure(tmp_path / "a")
    configure(tmp_path / "b")
    said.info("once")
    assert (tmp_path / "a").read_text() == ""
    assert messages(tmp_path / "b") == ["INFO once"]


def test_an_unknown_way_of_syslog_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="maybe"):
        log.configure(program="x", foreground=True, syslog="maybe")  # type: ignore[arg-type]


def test_rotating_with_sighup_loses_no_line_and_leaves_the_old_file_alone(
    tmp_path: Path, until: Until
) -> None:
    path, old = tmp_path / "prog.log", tmp_path / "prog.log.1"
    talker = subprocess.Popen([sys.executable, "-c", _TALKER, str(path)])
    try:
        until(lambda: path.exists() and path.stat().st_size > 1000)
        path.rename(old)
        talker.send_signal(signal.SIGHUP)
        until(lambda: path.exists() and path.stat().st_size > 1000)
        size = old.stat().st_size
        talker.send_signal(signal.SIGTERM)
        assert talker.wait(timeout=20) == 0
    finally:
        talker.kill()
        talker.wait()
    assert old.stat().st_size == size
    lines = messages(old) + messages(path)
    assert lines == [f"INFO line n={n}" for n in range(1, len(lines) + 1)]


def test_a_rotation_that_fails_goes_on_with_the_old_file(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    target = configure(path)
    path.rename(old)
    path.mkdir()
    target.reopen()
    said.info("still here")
    assert messages(old)[-1] == "INFO still here"
    path.rmdir()
    target.reopen()
    said.info("in the new one")
    assert messages(path) == ["INFO in the new one"]


def test_a_line_cut_by_a_crash_is_ended_before_the_next(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_text("2026-01-01 a line cut in the mid")
    configure(path)
    said.info("whole")
    assert path.read_text().splitlines()[0] == "2026-01-01 a line cut in the mid"
    assert messages(path)[1] == "INFO whole"


@pytest.mark.root
def test_a_full_disk_loses_lines_there_and_says_how_many(
    configure: Configure, said: log.Log, small_disk: Disk, capfd: pytest.CaptureFixture[str]
) -> None:
    path = small_disk.path / "log"
    configure(path)
    said.info("before")
    small_disk.fill()
    for n in range(100):
        said.info("while the disk is full", n=n, text="x" * 100)
    small_disk.free()
    said.info("after")
    found = messages(path)
    assert found[0] == "INFO before"
    written = [m for m in found if m.startswith("INFO while") and m.endswith("x" * 100)]
    cut = [m for m in found if not m.endswith(("before", "after")) and m not in written]
    assert found[-2] == "INFO after"
    assert found[-1] == f"WARNING records are missing here missed={100 - len(written)}"
    assert len(cut) <= 2, "one cut line, and the note on what is missing"
    stderr = capfd.readouterr().err
    assert stderr.count("cannot log there") == 1
    assert 'error="No space left on device"' in stderr
    assert "while the disk is full n=99" in stderr, "standard error stands in"


def test_a_log_that_cannot_be_opened_is_told_on_standard_error_and_nothing_is_lost(
    configure: Configure, said: log.Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file/x.log", tmp_path):
        configure(path)
        said.info("not lost")
        stderr = capfd.readouterr().err
        assert stderr.count("cannot log there") == 1
        assert f"place={path}" in stderr
        assert "INFO not lost" in stderr


def test_a_log_that_can_be_opened_later_is_taken_up_by_sighup(
    configure: Configure, said: log.Log, tmp_path: Path
) -> None:
    (tmp_path / "place").touch()
    path = tmp_path / "place/log"
    target = configure(path)
    said.info("missed")
    (tmp_path / "place").unlink()
    target.reopen()
    said.info("here")
    assert messages(path) == ["INFO here", "WARNING records are missing here missed=1"]


def test_what_nobody_caught_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "log"
    ended = subprocess.run(
        [sys.executable, "-c", _FAILING, str(path)], capture_output=True, check=False
    )
    assert ended.returncode == 1
    text = path.read_text()
    assert text.count("CRITICAL nobody caught this") == 2
    assert "    ZeroDivisionError: division by zero\n" in text
    assert "    KeyError: 'missing'\n" in text


def test_in_the_foreground_lines_go_to_standard_error(
    configure: Configure, said: log.Log, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(foreground=True)
    said.info("seen", n=1)
    assert _LINE.match(capfd.readouterr().err.rstrip("\n"))


def test_systemds_journal_gets_priorities_instead_of_heads(
    configure: Configure,
    said: log.Log,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{stream.st_ino}")
    configure(foreground=True, debug=True)
    said.debug("d")
    said.info("i", n=1)
    said.warning("w")
    said.error("e")
    assert capfd.readouterr().err == "<7>d\n<6>i n=1\n<4>w\n<3>e\n"


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    command = [sys.executable, "-c", _FLOODER]
    flooder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert flooder.wait(timeout=20) == 0
        assert flooder.stderr
        lines = flooder.stderr.read().splitlines()
    finally:
        flooder.kill()
        flooder.communicate()
    assert 100 < len(lines) < 3000
    assert lines[0].endswith("nobody reads n=0")


def test_standard_error_that_is_gone_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run([sys.executable, "-c", _FLOODER], stderr=writing, check=False)
    finally:
        os.close(writing)
    assert ended.returncode == 0


@pytest.fixture
def syslogd(short_dir: Path) -> Iterator[Callable[[], socket.socket]]:
    """Return what starts a syslog daemon's socket at ``short_dir/log``, also once more."""
    made: list[socket.socket] = []

    def start() -> socket.socket:
        for old in made:
            old.close()
        (short_dir / "log").unlink(missing_ok=True)
        new = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.append(new)
        new.settimeout(10)
        new.bind(str(short_dir / "log"))
        return new

    yield start
    for old in made:
        old.close()


def test_syslog_gets_a_datagram_a_line_with_priority_and_pid(
    configure: Configure, said: log.Log, short_dir: Path, syslogd: Callable[[], socket.socket]
) -> None:
    server = syslogd()
    configure(syslog="only", address=short_dir / "log")
    said.info("hello", name="wéb")
    said.error("bad", text="a\nb\0")
    got = [server.recv(10_000).decode() for _ in range(2)]
    head = rf"[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d prog\[{os.getpid()}\]: "
    assert re.fullmatch("<30>" + head + "hello name=wéb", got[0])
    assert re.fullmatch("<27>" + head + r'bad text="a\\nb\\x00"', got[1])


def test_a_traceback_reaches_syslog_line_by_line(
    configure: Configure, said: log.Log, short_dir: Path, syslogd: Callable[[], socket.socket]
) -> None:
    server = syslogd()
    configure(syslog="only", address=short_dir / "log")
    try:
        int("odd")
    except ValueError:
        said.exception("failed")
    got: list[str] = []
    while not got or "ValueError" not in got[-1]:
        got.append(server.recv(10_000).decode())
    assert len(got) > 3
    assert all(line.startswith("<27>") and "\n" not in line for line in got)


def test_a_syslog_that_is_started_anew_is_found_again(
    configure: Configure,
    said: log.Log,
    short_dir: Path,
    tmp_path: Path,
    syslogd: Callable[[], socket.socket],
) -> None:
    server = syslogd()
    configure(tmp_path / "log", syslog="yes", address=short_dir / "log")
    said.info("one")
    assert server.recv(1000).endswith(b"one")
    server = syslogd()
    said.info("two")
    assert server.recv(1000).endswith(b"two")
    assert messages(tmp_path / "log") == ["INFO one", "INFO two"]


def test_a_syslog_that_is_gone_is_told_once_and_counted(
    configure: Configure,
    said: log.Log,
    short_dir: Path,
    tmp_path: Path,
    syslogd: Callable[[], socket.socket],
) -> None:
    server = syslogd()
    configure(tmp_path / "log", syslog="yes", address=short_dir / "log")
    server.close()
    for n in range(3):
        said.info("unheard", n=n)
    server = syslogd()
    said.info("heard")
    assert server.recv(1000).endswith(b"heard")
    assert server.recv(1000).endswith(b"records are missing here missed=3")
    found = messages(tmp_path / "log")
    told = found.pop(1)
    assert told.startswith("ERROR cannot log there place=")
    assert found == [*(f"INFO unheard n={n}" for n in range(3)), "INFO heard"]


def test_a_syslog_that_does_not_read_holds_nobody_up(
    configure: Configure,
    said: log.Log,
    short_dir: Path,
    tmp_path: Path,
    syslogd: Callable[[], socket.socket],
) -> None:
    server = syslogd()
    configure(tmp_path / "log", syslog="yes", address=short_dir / "log")
    for n in range(3000):
        said.info("line", n=n)
    assert len(messages(tmp_path / "log")) == 3001
    assert server.recv(1000).endswith(b"line n=0")


def test_without_any_syslog_standard_error_stands_in(
    configure: Configure, said: log.Log, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(syslog="only")
    said.info("not lost")
    stderr = capfd.readouterr().err
    assert "cannot log there" in stderr
    assert "not lost" in stderr


def test_without_a_file_syslog_stands_in(
    configure: Configure,
    said: log.Log,
    short_dir: Path,
    syslogd: Callable[[], socket.socket],
) -> None:
    server = syslogd()
    configure(short_dir, address=short_dir / "log")  # a directory
    assert b"cannot log there" in server.recv(1000)
    said.info("not lost")
    assert server.recv(1000).endswith(b"not lost")


def test_logging_is_cheap_to_import() -> None:
    program = (
        "import sys; from pyganeti.base import log\n"
        "heavy = {'logging.handlers', 'logging.config', 'socket', 'email', 'pickle', 'asyncio',"
        " 'dataclasses', 'inspect'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stdout == b"[]\n"
