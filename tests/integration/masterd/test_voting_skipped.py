"""``--no-voting`` is dangerous: it wants a yes that a person typed, or one spelled out."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "pyganeti.masterd.command", "-f", "--no-voting"]
PATIENCE = 30.0


def test_without_a_terminal_nobody_can_say_yes(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND,
        env={**os.environ, "GANETI_ROOTDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 2
    assert "--yes-do-it" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("typed", "goes_on"), [(b"n\n", False), (b"\n", False), (b"y\n", True)])
def test_on_a_terminal_it_asks(tmp_path: Path, typed: bytes, *, goes_on: bool) -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(
        COMMAND,
        env={**os.environ, "GANETI_ROOTDIR": str(tmp_path), "GANETI_HOSTNAME": "node1"},
        stdin=its,
        stdout=its,
        stderr=its,
    ) as process:
        os.close(its)
        try:
            assert "Continue?" in _read(ours, until=b"[y/N]: ")
            os.write(ours, typed)
            said = _read(ours)
            assert process.wait(PATIENCE) == 1
        finally:
            process.kill()
            os.close(ours)
    # What goes on finds that there is no cluster here.
    assert ("Aborted!" in said) is not goes_on
    assert ("cannot go on" in said) is goes_on


def _read(terminal: int, until: bytes | None = None) -> str:
    said = b""
    deadline = time.monotonic() + PATIENCE
    while until is None or until not in said:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(said.decode(errors="replace"))
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the end of a terminal
            break
        said += piece
    return said.decode()
