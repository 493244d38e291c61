"""A daemon's run from flags to exit status; detaching has tests of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import sys, types
from pathlib import Path
from pyganeti.base import errors, running

root = Path(sys.argv[1])
chosen = types.SimpleNamespace(foreground=True, debug=False, syslog="no", log_file=root / "log")

async def serve(held):
    assert (root / "pid").exists()
    held.reopen_log()
    {act}

sys.exit(running.run("a-daemon", chosen, [root / "pid"], serve))
"""


def _run(root: Path, act: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(act=act), str(root)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("act", "status", "said"),
    [
        ("pass", 0, "the log was reopened"),
        ("raise errors.Unavailable('no disk')", 1, 'cannot go on why="no disk"'),
        ("raise ZeroDivisionError('sums')", 1, "a fault of ours"),
    ],
)
def test_it_ends_with_a_status_and_its_locks_given_back(
    tmp_path: Path, act: str, status: int, said: str
) -> None:
    ended = _run(tmp_path, act)
    assert ended.returncode == status, ended.stderr
    assert said in ended.stderr
    assert not (tmp_path / "pid").exists()


def test_who_has_no_lock_serves_nobody(tmp_path: Path) -> None:
    first = "import subprocess; again = subprocess.run([sys.executable, '-c', {!r}, str(root)])"
    second = _PROGRAM.format(act="(root / 'served').touch()")
    ended = _run(tmp_path, f"{first.format(second)}; assert again.returncode == 1")
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "served").exists()
