"""A daemon on a machine: started as an administrator starts it, and looked at from outside.

It detaches itself and is known by the lock on its pid file; what it says is in its log. It may
also have been started by another daemon there: a `Service` is a way to look at whatever daemon of
that name runs. All ends with the machine.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.cluster import machines, namespaces
from pyganeti.base import dirlock

NODED: Final = "ganeti-noded"
KVMD: Final = "ganeti-kvmd"
MASTERD: Final = "ganeti-masterd"

_PAUSE: Final = 0.01
_DEAD: Final = frozenset((b"Z", b"X"))


class NotStarted(Exception):
    """The daemon did not start; the message is what it said, and its log."""


class Service:
    """One daemon of one machine, by the name of its command; ``arguments`` go to that."""

    def __init__(self, machine: machines.Machine, command: str, *arguments: str) -> None:
        self.machine = machine
        self.command = command
        self.arguments = arguments

    def __repr__(self) -> str:
        return f"Service({self.command!r} on {self.machine.port})"

    # Its life.

    @property
    def pid(self) -> int | None:
        """Its process number outside, None if it does not run."""
        try:
            fd = os.open(self._seen(self.machine.layout.pid_file(self.command)), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return dirlock.holder(fd)
        finally:
            os.close(fd)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.pid is not None

    def start(self, *, within: float = namespaces.PATIENCE) -> None:
        """Start it; when this returns it is ready. Raises `NotStarted`."""
        done = self.machine.run(self.command, *self.arguments, within=within)
        if done.returncode or not self.alive:
            raise NotStarted(f"{self}: {done.stdout}{done.stderr}\n{self.log}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; ProcessLookupError if it does not run."""
        pid = self.pid
        if pid is None:
            raise ProcessLookupError(f"{self} does not run")
        os.kill(pid, number)

    def stop(self, *, within: float = namespaces.PATIENCE) -> None:
        """End it in order."""
        self._end(signal.SIGTERM, within)

    def kill(self) -> None:
        """Kill it with SIGKILL; harmless if it does not run."""
        if self.alive:
            self._end(signal.SIGKILL, namespaces.PATIENCE)

    def pause(self) -> None:
        """Have it stand still."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self.send(signal.SIGCONT)

    def _end(self, number: signal.Signals, within: float) -> None:
        pid = self.pid
        if pid is None:
            raise ProcessLookupError(f"{self} does not run")
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, number)
            self.wait(lambda: _has_ended(pid), f"the end of {self}", within)
        finally:
            os.close(descriptor)

    # What it says.

    @property
    def log(self) -> str:
        """All that its runs have logged."""
        try:
            path = self._seen(self.machine.layout.log_file(self.command))
            return path.read_text(errors="surrogateescape")
        except FileNotFoundError:
            return ""

    def log_lines(self, *words: str) -> list[str]:
        """Return the lines of the log that hold all these words."""
        return [line for line in self.log.splitlines() if all(word in line for word in words)]

    def wait_logged(
        self, *words: str, times: int = 1, within: float = namespaces.PATIENCE
    ) -> list[str]:
        """Wait until so many lines hold all these words; return them."""
        self.wait(lambda: len(self.log_lines(*words)) >= times, f"a log line {words}", within)
        return self.log_lines(*words)

    def wait(
        self, holds: Callable[[], bool], what: str, within: float = namespaces.PATIENCE
    ) -> None:
        """Wait until a condition holds; raises TimeoutError with the log if it never does."""
        deadline = time.monotonic() + within
        while not holds():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"waited {within} s for {what}; the log:\n{self.log}")
            time.sleep(_PAUSE)

    def _seen(self, path: Path) -> Path:
        return self.machine.seen(path)


def _has_ended(pid: int) -> bool:
    """Tell whether a process is gone; the machine's first process reaps it right after."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return True
    return state in _DEAD
