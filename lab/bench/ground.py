"""Where a benchmark takes place: directories of its own, which go with it however it ends.

The control directory lies in memory (/dev/shm), as /run does on a node; the journal and the logs
lie on a disk, where the benchmark is told to, since /tmp may be memory. Daemons detach themselves
and are nobody's children: `lab.bench.sweeper` ends them with this program, even if it is killed.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab.bench import sweeper

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a fresh directory is made in it
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
            opened.callback(_end, _sweeper(self.root, self.memory))
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

    @property
    def environment(self) -> dict[str, str]:
        """What a daemon has to find in its environment to work here, and to be ended."""
        return {sweeper.VARIABLE: str(self.root)}


@contextlib.contextmanager
def swept(disk: Path, name: str) -> Iterator[Path]:
    """Return a fresh directory for a daemon whose root is called ``name`` in it; both go after.

    Its path is short, for sockets are below it.
    """
    directory = Path(tempfile.mkdtemp(prefix="pg-", dir=disk))
    with contextlib.ExitStack() as opened:
        opened.callback(shutil.rmtree, directory, ignore_errors=True)
        opened.callback(_end, _sweeper(directory / name, directory))
        yield directory


def _sweeper(*directories: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", sweeper.__file__, *map(str, directories)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={},
    )


def _end(running: subprocess.Popen[bytes]) -> None:
    if running.stdin is not None:
        running.stdin.close()
    try:
        running.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
