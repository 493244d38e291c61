"""A small process that outlives a killed benchmark, to end the daemons that it has left.

A daemon detaches itself, so that even ``kill -9`` of the benchmark leaves it running, and it may
be killed while a daemon is only just starting. The sweeper holds the reading end of a pipe whose
writing end only the benchmark has. When that ends, it kills every process that was started with
``GANETI_ROOTDIR`` in the benchmark's own directory (fresh and unique), and removes its directories.
It has a session of its own: Ctrl-C does not reach it.

Started by path with ``python -I -S``, hence it imports nothing but the standard library.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "GANETI_ROOTDIR"
_SCANS: Final = 200
_PAUSE: Final = 0.02
_CLEAN_SCANS: Final = 3
"""A process that forks may be missed by one scan."""


def main(directories: list[str]) -> int:
    """Wait for the end of stdin, then clean up; the first directory is the processes' root."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    end_processes(directories[0])
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def end_processes(root: str) -> None:
    """Kill all processes of this root, and wait, for some seconds, until they are gone."""
    clean = 0
    for _ in range(_SCANS):
        left = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208
        left = [pid for pid in left if _is_of(pid, root)]
        clean = 0 if left else clean + 1
        if clean == _CLEAN_SCANS:
            return
        for pid in left:
            _kill(pid, root)
        time.sleep(_PAUSE)


def _kill(pid: int, root: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            # Looked at again: the number may have gone to another since.
            if _is_of(pid, root):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def _is_of(pid: int, root: str) -> bool:
    with contextlib.suppress(OSError):
        wanted = os.fsencode(f"{VARIABLE}={root}")
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
