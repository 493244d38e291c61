"""The laboratory's end of `lab.guardian`: directories and processes that go even if it is killed.

Whoever has a `Guarded` closes it when all is over; the guardian then does what it would do if the
program were killed at that moment.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from lab import guardian

_PATIENCE: Final = 15.0


class Left(Exception):
    """Something could not be removed."""


class Guarded:
    """One directory in a guardian's care, for at most ``limit`` seconds."""

    def __init__(self, root: Path, limit: float) -> None:
        self.root = root
        try:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, str(root), str(limit)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except OSError:
            root.rmdir()
            raise

    def guard(self, pid: int) -> None:
        """Have a process ended too."""
        self._tell_of("+", pid)

    def release(self, pid: int) -> None:
        """Take a process out of its care, before it is reaped."""
        self._tell_of("-", pid)

    def remove(self, folder: Path) -> None:
        """Have a folder removed too, such as a control group's, once it is empty."""
        self._tell(str(folder))

    def close(self) -> None:
        """End all that is in its care; raises `Left` if something is still there."""
        if self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.close()
        try:
            self._guardian.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()
        left = guardian.end_qemus(str(self.root))
        shutil.rmtree(self.root, ignore_errors=True)
        if left or self.root.exists():
            raise Left(f"{self.root}, qemus {left}")

    def _tell_of(self, sign: str, pid: int) -> None:
        ticks = guardian.start_ticks(pid)
        if ticks is not None:
            self._tell(f"{sign}{pid} {ticks}")

    def _tell(self, line: str) -> None:
        if self._guardian.stdin is None:
            raise Left("no guardian is there")
        self._guardian.stdin.write(os.fsencode(line) + b"\n")
        self._guardian.stdin.flush()
