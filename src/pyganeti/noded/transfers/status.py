"""How a transfer stands: Ganeti's status file, which masters read through ``impexp_status``.

Fields that have no value are left out, as Ganeti does. `Status` and `progress` decide only;
`Board` keeps one status and writes it, from any thread. A status that cannot be written (the disk
is full) never ends a transfer: it is tried again; and nothing but a status ever tells of success.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

import msgspec

from pyganeti.base import errors, files

SUCCESS: Final = 0
FAILURE: Final = 1

_MODE: Final = 0o400
_LIMIT: Final = 256 * 1024
_LINES: Final = 20
_LONGEST: Final = 1000
_INTERVAL: Final = 1.0
_WINDOW: Final = 60.0
"""Seconds that the throughput is an average of."""

_MIB: Final = 1024 * 1024
_AT_END: Final = 10.0
"""Seconds in which the last word is tried to be written."""


class Status(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a master is told."""

    recent_output: list[str]
    ctime: float
    mtime: float
    listen_port: int | None = None
    connected: bool | None = None
    progress_mbytes: float | None = None
    progress_throughput: float | None = None
    progress_percent: float | None = None
    progress_eta: float | None = None
    exit_status: int | None = None
    error_message: str | None = None


Sample = tuple[float, float]
"""When, in seconds of any clock, and how many MiB had been moved by then."""


def progress(
    samples: Sequence[Sample], expected: float | None
) -> tuple[float | None, float | None, float | None]:
    """Return MiB a second, percent, and the seconds left, as far as each can be known."""
    throughput = percent = left = None
    moved = samples[-1][1]
    if len(samples) > 1 and samples[-1][0] > samples[0][0]:
        throughput = (moved - samples[0][1]) / (samples[-1][0] - samples[0][0])
    if expected is not None:
        if expected > 0:
            percent = max(0.0, min(100.0, 100.0 * moved / expected))
        if throughput:
            left = max(0.0, (expected - moved) / throughput)
    return throughput, percent, left


def read(path: Path) -> Status | None:
    """Return what a transfer has said, None if it has said nothing yet.

    Raises Damaged if that is not a status, OSError if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Damaged(f"{path} is not a transfer's status: {error}") from error


class Board:
    """The status of the transfer that this process is."""

    def __init__(self, path: Path, log: TextIO, expected: int | None) -> None:
        self._path = path
        self._log = log
        self._expected: float | None = expected
        self._lock = threading.Lock()
        now = time.time()
        self._status = Status(recent_output=[], ctime=now, mtime=now)
        self._samples: deque[Sample] = deque()
        self._moved = 0
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="status", daemon=True)
        with self._lock:
            self._write()

    def start(self) -> None:
        """Keep the file up to date from now on."""
        self._ticker.start()

    def say(self, line: str) -> None:
        """Log a line, and show it to whoever asks how things are."""
        kept = "".join(c if c.isprintable() else "?" for c in line[:_LONGEST])
        with self._lock:
            # The log's disk may be full.
            with contextlib.suppress(OSError):
                self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}: {kept}\n")
                self._log.flush()
            self._status.recent_output.append(kept)
            del self._status.recent_output[:-_LINES]

    def listening(self, port: int) -> None:
        """Tell the port at once: the peer's master waits for it."""
        with self._lock:
            self._status.listen_port = port
            self._write()

    def connected(self) -> None:
        """Tell that the peer is there."""
        with self._lock:
            self._status.connected = True
            self._samples.append((time.monotonic(), 0.0))
            self._write()

    def expect(self, size: int | None) -> None:
        """Take a size in bytes that became known meanwhile."""
        with self._lock:
            self._expected = None if size is None else size / _MIB

    def moved(self, count: int) -> None:
        """Count bytes of data."""
        self._moved += count

    def finish(self, code: int, message: str | None) -> None:
        """Say the last word, and try to have it written for a while."""
        self._ended.set()
        if message is not None:
            self.say(message)
        deadline = time.monotonic() + _AT_END
        with self._lock:
            self._measure()
            self._status.exit_status = code
            self._status.error_message = message
            while not self._write() and time.monotonic() < deadline:
                time.sleep(0.1)

    def _tick(self) -> None:
        while not self._ended.wait(_INTERVAL):
            with self._lock:
                if self._ended.is_set():
                    return
                self._measure()
                self._write()

    def _measure(self) -> None:
        if not self._status.connected:
            return
        now, done = time.monotonic(), self._moved / _MIB
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[0][0] < now - _WINDOW:  # noqa: PLR2004 - two points
            self._samples.popleft()
        status = self._status
        status.progress_mbytes = done
        (
            status.progress_throughput,
            status.progress_percent,
            status.progress_eta,
        ) = progress(list(self._samples), self._expected)

    def _write(self) -> bool:
        self._status.mtime = time.time()
        try:
            files.write_atomically(self._path, msgspec.json.encode(self._status), _MODE)
        except OSError:
            return False
        return True
