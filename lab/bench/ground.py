"""Where a benchmark takes place: directories of its own, which go with it however it ends.

The control directory lies in memory (/dev/shm), as /run does on a node; the journal and the logs
lie on a disk, below the working directory of whoever measures, since /tmp may be memory. Daemons
detach themselves and are nobody's children: they are in the care of a guardian, which ends them
when this program is gone, even by SIGKILL.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab import guardian

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a fresh directory is made in it
_LIMIT: Final = 3600.0
_PATIENCE: Final = 10.0


class Ground:
    """Directories for one daemon and its guests; a context manager that leaves nothing behind."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._closing = contextlib.ExitStack()
        self.memory = Path()
        self.root = Path()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            # Short: a socket's path has at most 107 bytes.
            self.memory = Path(tempfile.mkdtemp(prefix="lab-", dir=MEMORY))
            opened.callback(shutil.rmtree, self.memory, ignore_errors=True)
            self.root = Path(tempfile.mkdtemp(prefix=".lab-bench-", dir=self._disk))
            opened.callback(shutil.rmtree, self.root, ignore_errors=True)
            self._guards = [self._guard(self.memory), self._guard(self.root)]
            for guard in self._guards:
                opened.callback(_end, guard)
            for directory in (self.ctrl_dir, self.root / "var/run/ganeti"):
                directory.mkdir(parents=True)
            self._closing = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def run_dir(self) -> Path:
        """What is to be /run for a daemon that knows no other place."""
        return self.memory / "run"

    @property
    def ctrl_dir(self) -> Path:
        """Where the sockets are, laid out below `run_dir` as Ganeti has it."""
        return self.run_dir / "ganeti/kvm-hypervisor/ctrl"

    def guard(self, pid: int) -> None:
        """Have a process ended with this program."""
        ticks = guardian.start_ticks(pid)
        pipe = self._guards[0].stdin
        if ticks is not None and pipe is not None:
            os.write(pipe.fileno(), b"+%d %d\n" % (pid, ticks))

    @staticmethod
    def _guard(directory: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, str(directory), str(_LIMIT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )


def _end(guard: subprocess.Popen[bytes]) -> None:
    if guard.stdin is not None:
        guard.stdin.close()
    try:
        guard.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
