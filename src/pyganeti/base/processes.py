"""What the kernel tells about processes that are not our children, read from /proc.

A number alone does not identify a process, since it is used again; number and start time (in clock
ticks since boot) do. None always means "there is no such process" or "it does not say", never "it
could not be looked at for want of a descriptor": that raises `errors.Exhausted`, because a verdict
must not rest on it.

Every function takes the place where procfs is mounted, so that tests can show it other files.
"""

import contextlib
import errno
import os
import socket
import struct
import time
from pathlib import Path
from typing import Final

from pyganeti.base import errors

PROC: Final = "/proc"

_STAT_LIMIT: Final = 4096
_COMMAND_LINE_LIMIT: Final = 256 * 1024
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_UCRED: Final = struct.Struct("=iII")
_OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

# Positions in /proc/PID/stat after the command's closing parenthesis; proc_pid_stat(5) counts from
# one and begins with the pid and the command.
_STATE: Final = 3 - 3
_FLAGS: Final = 9 - 3
_THREADS: Final = 20 - 3
_START_TIME: Final = 22 - 3
_EXIT_CODE: Final = 52 - 3

_PF_EXITING: Final = 0x4  # linux/sched.h


def boot_id(*, proc: str = PROC) -> str:
    """Return the random name that the kernel gave itself at boot; raises OSError without /proc."""
    return Path(proc, "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def boot_time() -> float:
    """Return when the host booted, in seconds since the epoch, by today's setting of the clock."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def started_at(ticks: int) -> float:
    """Return a start time given in clock ticks since boot in seconds since the epoch."""
    return boot_time() + ticks / _TICKS_PER_SECOND


def exists(pid: int) -> bool:
    """Tell whether the number is a process's, be it a zombie. Takes no descriptor and no /proc."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def start_ticks(pid: int, *, proc: str = PROC) -> int | None:
    """Return when the process started, in clock ticks since boot; None if there is none."""
    fields = _stat(pid, proc)
    return None if fields is None else int(fields[_START_TIME])


def state(pid: int, *, proc: str = PROC) -> str | None:
    """Return the state's letter (R, S, D, T, Z, X …) of the first thread; None if there is none."""
    fields = _stat(pid, proc)
    return None if fields is None else fields[_STATE].decode("ascii", "replace")


def is_ending(pid: int, *, proc: str = PROC) -> bool:
    """Tell whether a process is about to end, or has and is still there.

    Such a one has no command line any more, but for a while it has its files: what was its alone is
    not gone yet.
    """
    fields = _stat(pid, proc)
    return fields is not None and bool(int(fields[_FLAGS]) & _PF_EXITING)


def zombie_status(pid: int, ticks: int, *, proc: str = PROC) -> int | None:
    """Return the wait status of a process that has ended and whose parent has not looked yet.

    None while it lives, when it is gone or another one, while some of its threads are still
    ending, and when the kernel hides the status from us (it shows 0 to those who may not trace).
    """
    fields = _stat(pid, proc)
    if fields is None or fields[_STATE] != b"Z" or int(fields[_START_TIME]) != ticks:
        return None
    if int(fields[_THREADS]) > 1 or len(fields) <= _EXIT_CODE:
        return None
    status = int(fields[_EXIT_CODE])
    if status == 0 and not _may_trace(pid, proc):
        return None
    return status


def command_line(pid: int, *, proc: str = PROC) -> tuple[bytes, ...]:
    """Return the process's arguments; empty if it is gone, a zombie, a kernel thread or hidden."""
    data = _read(f"{proc}/{pid}/cmdline", _COMMAND_LINE_LIMIT)
    if not data:
        return ()
    return tuple(data.removesuffix(b"\0").split(b"\0"))


def peer_pid(fd: int) -> int | None:
    """Return the process that listens (or connected) at the other end of a Unix socket.

    None if it is in a pid namespace that we do not see into. Raises OSError if ``fd`` is no such
    socket.
    """
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fd)
    try:
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    finally:
        peer.detach()
    pid: int = _UCRED.unpack(credentials)[0]
    return pid or None


def _stat(pid: int, proc: str) -> list[bytes] | None:
    data = _read(f"{proc}/{pid}/stat", _STAT_LIMIT)
    if data is None:
        return None
    # The command may hold anything, closing parentheses too, but nothing after it does.
    _, closed, rest = data.rpartition(b")")
    fields = rest.split()
    if not closed or len(fields) <= _START_TIME:
        return None
    return fields


def _read(path: str, limit: int) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _OUT_OF_DESCRIPTORS:
            raise errors.Exhausted(f"{path} cannot be looked at: {error.strerror}") from error
        return None
    try:
        pieces = []
        while limit > 0 and (piece := os.read(descriptor, min(limit, 65536))):
            pieces.append(piece)
            limit -= len(piece)
        return b"".join(pieces)
    except OSError:  # ESRCH: it has ended between open and read
        return None
    finally:
        os.close(descriptor)


def _may_trace(pid: int, proc: str) -> bool:
    # A zombie has no executable any more, so that permission shows as "no such file".
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        try:
            Path(proc, str(pid), "exe").readlink()
        except PermissionError:
            return False
    return True
