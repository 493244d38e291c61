"""A real ganeti-kvmd as a process of its own, over the qemus of a `qemus.Qemus`.

It runs in the foreground, with debug messages, below the node's private root, as whoever runs the
tests, and is waited for by its own word to the service manager, not by time. What it did is read
where a person would read it: in the journal, in the control directory and in the log. It ends with
the ``with`` block, and by the node's guardian when the whole program is killed.

    with qemus.Qemus() as node, daemons.Kvmd(node) as kvmd:
        web1 = node.start("web1", guests.polite())
        kvmd.wait_watching(web1)
        web1.say(guests.Command.POWER_OFF)
        assert kvmd.wait_stop(web1).cause == "user-poweroff"
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab import qemus
from pyganeti.base import errors
from pyganeti.clients import stopjournal
from pyganeti.model import stop as stops

PATIENCE: Final = 15.0
"""How long any wait here lasts unless told otherwise, in seconds."""

COMMAND: Final = (sys.executable, "-m", "pyganeti.kvmd.command")


class NotStarted(Exception):
    """The daemon ended before it was ready; the message is its log."""


class Kvmd:
    """One daemon, that can be killed and started again over the same node.

    ``arguments`` go to the command behind ``-f``, ``wrapper`` stands before it (``prlimit …``),
    ``program`` is run instead of it, and ``environment`` is added to what it finds.
    """

    def __init__(
        self,
        node: qemus.Qemus,
        *arguments: str,
        wrapper: Sequence[str] = (),
        program: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        journal: Path | None = None,
    ) -> None:
        self.node = node
        self.arguments = arguments
        self.wrapper = tuple(wrapper)
        self.program = tuple(program)
        self.environment = {**os.environ, **node.environment(), **(environment or {})}
        self.journal = journal or node.root / "var/lib/ganeti/kvmd/journal.sqlite"
        self.log_file = node.root / "kvmd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._words: socket.socket | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    # Its life.

    @property
    def pid(self) -> int:
        """The process number of the running daemon."""
        if self._process is None:
            raise ProcessLookupError("the daemon is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and not _has_ended(self._process.pid)

    def start(self, *, wait: bool = True) -> Self:
        """Start it; unless told not to, return when it says that it is ready.

        Raises `NotStarted` if it ends before that.
        """
        words = self.node.root / "kvmd.notify"
        words.unlink(missing_ok=True)
        self._words = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._words.bind(str(words))
        if self.node.user is not None:
            words.chmod(0o666)
        line = [*self.wrapper, *self.program, "-f", "-d", *self.arguments]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self.environment, "NOTIFY_SOCKET": str(words)},
                cwd=Path(__file__).parents[1],
                start_new_session=True,  # Ctrl-C is for whoever started us, not for it
            )
        self.node.guard(self._process.pid)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, *, within: float = PATIENCE) -> None:
        """Wait for its word to the service manager."""
        self.wait_said("READY=1", within=within)

    def wait_said(self, word: str, *, within: float = PATIENCE) -> None:
        """Wait for a word to the service manager that it has not said before."""
        if self._words is None:
            raise ProcessLookupError("the daemon was not started")
        deadline = time.monotonic() + within
        self._words.settimeout(0.02)
        while True:
            with contextlib.suppress(TimeoutError):
                if word.encode() in self._words.recv(4096).splitlines():
                    return
                continue
            if not self.alive:
                self._reap()
                raise NotStarted(self.log)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the daemon did not say {word} in {within} s:\n{self.log}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def stop(self, *, within: float = PATIENCE) -> int:
        """End it in order; return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_ended(within=within)

    def wait_ended(self, *, within: float = PATIENCE) -> int:
        """Wait until it has ended; return its exit status, negative if a signal ended it."""
        if self._process is None:
            raise ProcessLookupError("the daemon was not started")
        self._wait(lambda: not self.alive, "the end of the daemon", within)
        return self._reap()

    def kill(self) -> None:
        """Kill it with SIGKILL if it runs."""
        if self._process is None:
            return
        if self.alive:
            self.signal(signal.SIGKILL)
        self.wait_ended()

    def restart(self) -> Self:
        """Kill it and start it again."""
        self.kill()
        return self.start()

    def _reap(self) -> int:
        process, self._process = self._process, None
        if self._words is not None:
            self._words.close()
            self._words = None
        if process is None:
            raise ProcessLookupError("the daemon is not running")
        # The number is still its own, until it is reaped.
        self.node.release(process.pid)
        return process.wait(PATIENCE)

    # What it says.

    @property
    def log(self) -> str:
        """What all its runs have logged."""
        try:
            return self.log_file.read_text(errors="surrogateescape")
        except FileNotFoundError:
            return ""

    def log_lines(self, *words: str) -> list[str]:
        """Return the lines of the log that hold all these words."""
        return [line for line in self.log.splitlines() if all(word in line for word in words)]

    def wait_logged(self, *words: str, times: int = 1, within: float = PATIENCE) -> list[str]:
        """Wait until so many lines hold all these words; return them."""
        self._wait(lambda: len(self.log_lines(*words)) >= times, f"a log line {words}", within)
        return self.log_lines(*words)

    @contextlib.contextmanager
    def reader(self) -> Iterator[stopjournal.Reader]:
        """Open the journal for reading."""
        with stopjournal.Reader(self.journal) as reader:
            yield reader

    def recorded(self, name: str | None = None) -> list[stops.Stop]:
        """Return what is recorded, oldest first; nothing if there is no journal, or not yet."""
        try:
            with self.reader() as reader:
                return list(reader.stops(name=name))
        except errors.Failure:
            return []

    def stops_of(self, qemu: qemus.Qemu) -> list[stops.Stop]:
        """Return what is recorded of one qemu: one row at most, if all is well."""
        return [stop for stop in self.recorded(qemu.name) if stop.pid == qemu.pid]

    def watched(self) -> dict[str, stops.Watched]:
        """Return what is on record as watched, by name."""
        try:
            with self.reader() as reader:
                return {row.name: row for row in reader.watched()}
        except errors.Failure:
            return {}

    def waiting(self) -> dict[str, stops.Waiting]:
        """Return the sockets on record as not usable yet, by file name."""
        try:
            with self.reader() as reader:
                return {row.socket: row for row in reader.waiting()}
        except errors.Failure:
            return {}

    def wait_watching(self, *wanted: qemus.Qemu, within: float = PATIENCE) -> None:
        """Wait until the running daemon is attached to these qemus and has them on record.

        The record alone may be that of an earlier run.
        """

        def holds() -> bool:
            log, found = self.log, self.watched()
            return all(
                re.search(rf" pid={self.pid} .* attached .* qemu_pid={qemu.pid} ", log)
                and (row := found.get(qemu.name)) is not None
                and row.pid == qemu.pid
                for qemu in wanted
            )

        self._wait(holds, f"watch over {[qemu.name for qemu in wanted]}", within)

    def wait_noted(self, qemu: qemus.Qemu, event: str, *, within: float = PATIENCE) -> None:
        """Wait until an event of the qemu is on record, so that it outlives the daemon."""

        def holds() -> bool:
            row = self.watched().get(qemu.name)
            return row is not None and any(found.name == event for found in row.events)

        self._wait(holds, f"{event} of {qemu.name} on record", within)

    def wait_stop(self, qemu: qemus.Qemu, *, within: float = PATIENCE) -> stops.Stop:
        """Wait for the recorded stop of this very qemu, with all that follows from it done.

        The daemon logs a stop after it has dealt with the marker: when this returns, a marker
        that is not there was not made.
        """
        self._wait(
            lambda: bool(self.log_lines("a guest stopped ", f" pid={qemu.pid} ")),
            f"the stop of {qemu}",
            within,
        )
        self._wait(lambda: bool(self.stops_of(qemu)), f"the row of {qemu}", within)
        return self.stops_of(qemu)[0]

    def has_marker(self, name: str) -> bool:
        """Tell whether ``NAME.shutdown`` is there."""
        return os.path.lexists(self.node.ctrl_dir / f"{name}.shutdown")

    def ask(self, *words: str, within: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a sub-command of ganeti-kvmd over this daemon's journal."""
        return subprocess.run(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=within,
            check=False,
            env=self.environment,
            cwd=Path(__file__).parents[1],
        )

    def _wait(self, holds: Callable[[], bool], what: str, within: float) -> None:
        deadline = time.monotonic() + within
        while not holds():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"waited {within} s for {what}; the log:\n{self.log}")
            time.sleep(0.01)


def write_intent(qemu: qemus.Qemu, kind: str, *, seconds: float = 60.0, pid: int = 0) -> Path:
    """Announce an act on a qemu, as noded does before it acts; return the file.

    ``seconds`` from now is the deadline; a negative one is over. ``pid`` is for another process.
    """
    now = time.time()
    written = now - 0.001 if seconds > 0 else now + 2 * seconds
    path = qemu.path(".intent")
    content = {"version": 1, "kind": kind, "pid": pid or qemu.pid, "written": written}
    content |= {"deadline": now + seconds, "job": 17, "reason": "laboratory"}
    new = path.with_name(re.sub(r"[^\w]", "_", path.name) + ".new")
    new.write_text(json.dumps(content))
    new.replace(path)
    return path


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, and leave it for whoever reaps it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
