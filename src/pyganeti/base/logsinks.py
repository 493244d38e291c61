"""Where log lines go: a file, standard error, syslog. None of them may stop the daemon.

A sink never raises and never waits for a peer: `Sink.write` returns None, or why the line was not
taken, and `base.log` decides what then. A file's page cache is the only thing that may take time.
"""

import contextlib
import os
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pyganeti.base import files

if TYPE_CHECKING:
    import socket

_RETRY: Final = 5.0
"""Seconds between attempts to open a log file that cannot be written."""

_FILE_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
_OPEN: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_PIPE_ROOM: Final = 4096
"""A pipe that poll() calls writable has room for this much."""

_LONGEST_DATAGRAM: Final = 8192
_DAEMON: Final = 3 << 3
"""Syslog's facility for daemons."""

_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
"""As syslog wants them, whatever the locale."""


class Entry:
    """One record, ready to be written: for people in files, in pieces for syslog and journald."""

    __slots__ = ("head", "lines", "pid", "priority")

    def __init__(self, head: str, lines: list[str], pid: int, priority: int) -> None:
        self.head = head
        """What stands before the first line in a file: time, program, pid, level."""
        self.lines = lines
        """The message with its fields, then a traceback; no line has a control character."""
        self.pid = pid
        self.priority = priority
        """Syslog's: 7 for debugging to 2 for critical."""

    def as_text(self) -> bytes:
        """Return the lines of a file; only the first one begins at the margin."""
        return f"{self.head} {chr(10).join([*self.lines, ''])}".encode(errors="backslashreplace")


class Sink(Protocol):
    """One place that takes entries."""

    @property
    def name(self) -> str:
        """What it is called when it fails."""

    def write(self, entry: Entry) -> str | None:
        """Take an entry; return why not if that is so."""

    def reopen(self) -> str | None:
        """Begin anew; return why that did not work, if so. What was open serves until it does."""

    def close(self) -> None:
        """Let go of descriptors; a later `write` opens again."""


class FileSink:
    """A file, appended to. A line cut off by a full disk or a crash is ended before the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._is_cut = False
        self._why = ""
        self._due: float | None = 0.0
        """When to open the path, on the monotonic clock; None while all is well."""

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    def write(self, entry: Entry) -> str | None:
        """Append an entry; while something is wrong, open the path anew every few seconds."""
        if self._due is not None and time.monotonic() >= self._due:
            self.reopen()
        if self._fd is None:
            return self._why
        data = entry.as_text()
        if self._is_cut:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError as error:
            if written:
                self._is_cut = not data[:written].endswith(b"\n")
            return self._fail(error)
        self._is_cut = False
        return None

    def reopen(self) -> str | None:
        """Open whatever has the path now, making it and its directory if need be."""
        try:
            files.make_directories(self._path.parent, _DIRECTORY_MODE)
            fd = os.open(self._path, _OPEN, _FILE_MODE)
        except OSError as error:
            return self._fail(error)
        self.close()
        self._fd = fd
        self._is_cut = _is_cut(fd)
        self._due = None
        return None

    def close(self) -> None:
        """Close the file."""
        fd, self._fd, self._due = self._fd, None, 0.0
        if fd is not None:
            with contextlib.suppress(OSError):  # a late write error; there is nobody to tell
                os.close(fd)

    def _fail(self, error: OSError) -> str:
        self._why = error.strerror or str(error)
        self._due = time.monotonic() + _RETRY
        return self._why


class StderrSink:
    """Standard error; with the priorities that systemd understands where it is what listens.

    A reader that does not keep up loses lines rather than holding up the daemon.
    """

    name = "standard error"

    def __init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(2, select.POLLOUT)
        self._is_journal = _is_journal(os.environ.get("JOURNAL_STREAM", ""))

    def write(self, entry: Entry) -> str | None:
        """Write an entry if there is room for it now."""
        if self._is_journal:
            text = "".join(f"<{entry.priority}>{line}\n" for line in entry.lines)
            data = text.encode(errors="backslashreplace")
        else:
            data = entry.as_text()
        try:
            for begin in range(0, len(data), _PIPE_ROOM):
                if not self._poll.poll(0):
                    return "the reader does not keep up"
                os.write(2, data[begin : begin + _PIPE_ROOM])
        except OSError as error:
            return error.strerror or str(error)
        return None

    def reopen(self) -> str | None:
        """Do nothing: it was opened by whoever started us."""
        return None

    def close(self) -> None:
        """Do nothing: it is not ours."""


class SyslogSink:
    """The local syslog daemon, found again when it was started anew."""

    def __init__(self, program: str, address: str) -> None:
        self.name = f"syslog at {address}"
        self._program = program
        self._address = address
        self._socket: socket.socket | None = None

    def write(self, entry: Entry) -> str | None:
        """Send one datagram a line, as syslog(3) does."""
        now = time.localtime()
        month = _MONTHS[now.tm_mon - 1]
        clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        head = f"<{_DAEMON | entry.priority}>{month} {now.tm_mday:2} {clock}"
        try:
            for line in entry.lines:
                text = f"{head} {self._program}[{entry.pid}]: {line}"
                self._send(text.encode(errors="backslashreplace")[:_LONGEST_DATAGRAM])
        except OSError as error:
            return error.strerror or str(error)
        return None

    def reopen(self) -> str | None:
        """Connect anew."""
        self.close()
        try:
            self._connected()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, data: bytes) -> None:
        was_connected = self._socket is not None
        try:
            self._connected().send(data)
        except BlockingIOError:
            raise  # its queue is full: connected well enough
        except OSError:
            self.close()
            if not was_connected:
                raise
            self._connected().send(data)  # it was started anew meanwhile

    def _connected(self) -> "socket.socket":
        if self._socket is None:
            import socket  # noqa: PLC0415 - half a megabyte, only for those who want syslog

            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                made.setblocking(False)  # noqa: FBT003 - no keyword there
                made.connect(self._address)
            except OSError:
                made.close()
                raise
            self._socket = made
        return self._socket


def _is_cut(fd: int) -> bool:
    """Say whether the file's last line has no end."""
    try:
        size = os.fstat(fd).st_size
        return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
    except OSError:  # not a regular file
        return False


def _is_journal(stream: str) -> bool:
    """Say whether standard error is what systemd says it connected to its journal."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"
