"""A small process that outlives a killed test run, to end the qemus which that run has left.

A daemonized qemu is nobody's child, so that even ``kill -9`` of pytest leaves it running. The
guardian holds the reading end of a pipe whose writing end only the test run has: when the pipe
ends, or the time limit is over, it kills every qemu whose command line names the laboratory's own
directory (a fresh, unique path) and the processes that were given into its care by number and
start time, then removes the directory. It has a session of its own: Ctrl-C does not reach it.

It is also called directly, by a test run that cleans up after itself: see `end_qemus`.

Started by path with ``python -I -S``, hence it imports nothing but the standard library.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final

_SCANS: Final = 200
_PAUSE: Final = 0.02


def main(arguments: list[str]) -> int:
    """Guard ``ROOT`` for at most ``LIMIT`` seconds: the two arguments."""
    root, limit = arguments[0], float(arguments[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wards, folders = _wait_for_the_end(time.monotonic() + limit)
    for pid, ticks in wards:
        kill(pid, ticks)
    # The first process of a namespace goes after all others in there, and these write files.
    for pid, ticks in wards:
        _wait_ended(pid, ticks)
    end_qemus(root)
    shutil.rmtree(root, ignore_errors=True)
    for folder in folders:
        _remove_folder(folder)
    return 0


def _wait_for_the_end(deadline: float) -> tuple[set[tuple[int, int]], list[str]]:
    """Read lines until the writer is gone or time is over.

    ``+PID TICKS`` takes a process into care, ``-PID TICKS`` releases it, ``/PATH`` names a
    folder, such as a control group's, that is to be removed once it is empty.
    """
    wards: set[tuple[int, int]] = set()
    folders: list[str] = []
    held = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([0], [], [], left)[0]:
            continue
        piece = os.read(0, 65536)
        if not piece:
            break
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"/"):
                folders.append(os.fsdecode(line))
                continue
            pid, ticks = map(int, line[1:].split())
            (wards.add if line.startswith(b"+") else wards.discard)((pid, ticks))
    return wards, folders


def _wait_ended(pid: int, ticks: int) -> None:
    for _ in range(_SCANS):
        if start_ticks(pid) != ticks or _is_zombie(pid):
            return
        time.sleep(_PAUSE)


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    return True


def _remove_folder(folder: str) -> None:
    """Remove an empty folder; a control group is busy until its last process is reaped."""
    for _ in range(_SCANS):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(_PAUSE)
        else:
            return


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot, or None if it is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(line.rpartition(b")")[2].split()[19])


def kill(pid: int, ticks: int) -> bool:
    """Kill the process of this number if it is still the one that began then."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if start_ticks(pid) != ticks:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def qemus_of(root: str) -> list[int]:
    """Return the living qemu processes whose command line names a path below this directory."""
    needle = os.fsencode(root) + b"/"
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                program = line.partition(b"\0")[0].rpartition(b"/")[2]
                if program.startswith(b"qemu-") and needle in line:
                    found.append(int(entry.name))
    return found


def end_qemus(root: str) -> list[int]:
    """Kill the qemus of this directory; return those that are still there after some seconds."""
    left: list[int] = []
    for _ in range(_SCANS):
        left = qemus_of(root)
        if not left:
            return []
        for pid in left:
            ticks = start_ticks(pid)
            # Looked at again: between the two scans the number may have gone to another.
            if ticks is not None and pid in qemus_of(root):
                kill(pid, ticks)
        time.sleep(_PAUSE)
    return left


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
