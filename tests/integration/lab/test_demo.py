"""The demo shows the truth, as lines and as a table, and leaves nothing, however it ends."""

import contextlib
import os
import pty
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import demotable, guardian, qemus
from lab.cluster import namespaces

WHY_NOT = qemus.why_not() or namespaces.why_not()

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
    pytest.mark.timeout(120),
]

COMMAND = [sys.executable, "-m", "lab.demo"]
HERE = Path(qemus.__file__).parents[1]
MARK = "PYGANETI_DEMO_TEST"


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Mark what the demo starts; at the end nothing that bears the mark may be there."""
    mark = secrets.token_hex(8)
    yield {**os.environ, MARK: mark}
    qemus.wait_until(lambda: not environments(mark), what="the demo's processes to go")


def root_of(environment: dict[str, str]) -> Path:
    """Return the demo's directory, once the first qemu runs there."""
    roots: list[str] = []

    def is_running() -> bool:
        roots[:] = re.findall(r"GANETI_ROOTDIR=(/tmp/lab-[^/]+)/", "\0".join(environments(mark)))
        return bool(roots and qemus_of(Path(roots[0])))

    mark = environment[MARK]
    qemus.wait_until(is_running, what="the demo's first qemu", within=60)
    return Path(roots[0])


def environments(mark: str) -> list[str]:
    """Return the environments of all processes that bear the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                environ = (entry / "environ").read_bytes()
                if f"{MARK}={mark}".encode() in environ.split(b"\0"):
                    found.append(environ.decode(errors="replace"))
    return found


def qemus_of(root: Path) -> list[int]:
    """Return the qemus whose command lines name files of the demo: noded gives them no mark."""
    return guardian.qemus_of(str(root))


def test_every_verdict_is_right_and_what_falls_is_back(environment: dict[str, str]) -> None:
    done = subprocess.run(
        COMMAND, cwd=HERE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"  right(?:  |\n)", done.stdout)) == 14
    assert "WRONG" not in done.stdout
    assert "$ ganeti-kvmd why" in done.stdout
    for status in ("running", "USER_down", "ERROR_down", "ADMIN_down"):
        assert re.search(rf"^\w+ +image +\S+ +{status} ", done.stdout, re.MULTILINE), status
    assert "the verdict: admin-shutdown" in done.stdout
    back = re.search(r"^db1 was back ([0-9.]+) s later\.$", done.stdout, re.MULTILINE)
    assert back
    for told in ("# gnt-instance why db1", "# gnt-instance why mail", "INSTANCE_STARTUP(db1)"):
        assert told in done.stdout
    assert " 0 wrong" in done.stdout.splitlines()[-1]


def test_terminal_gets_a_table(environment: dict[str, str]) -> None:
    ours, its = pty.openpty()
    environment |= {"TERM": "xterm", "COLUMNS": "140", "LINES": "50"}
    with subprocess.Popen(
        COMMAND, cwd=HERE, env=environment, stdin=its, stdout=its, stderr=its
    ) as demo:
        os.close(its)
        shown = b""
        deadline = time.monotonic() + 100
        while select.select([ours], [], [], deadline - time.monotonic())[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the end of a terminal
                break
        os.close(ours)
        assert demo.wait(10) == 0, shown.decode(errors="replace")
    text = shown.decode()
    assert "┃" in text
    assert "\x1b[" in text
    assert "guest-panic" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_interrupted(
    environment: dict[str, str], number: signal.Signals
) -> None:
    with subprocess.Popen(
        COMMAND,
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as demo:
        root = root_of(environment)
        os.killpg(demo.pid, number)  # as a terminal does: all of the group get it
        code = demo.wait(60)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    qemus.wait_until(lambda: not root.exists(), what=f"{root} to go", within=30)
    qemus.wait_until(lambda: not qemus_of(root), what="all qemus to go")


class Row:
    """A row of the table."""

    def __init__(self, name: str, *, is_complete: bool) -> None:
        self.cells = (name, "is ended", "killed", "no", "WRONG", "1.5")
        self.is_complete = is_complete


def test_each_line_is_shown_once_when_it_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = Row("web1", is_complete=False), Row("web2", is_complete=True)
    with demotable.shown([first, second]) as show:
        show()
        first.is_complete = True
        show()
        show()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["guest", "web2", "web1"]
