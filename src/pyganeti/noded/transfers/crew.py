"""The programs that work for one transfer: a script, what packs the data, what opens a disk.

Each is in a group of its own, and tied: the kernel kills it when this process dies, so that nothing
goes on writing to a disk that somebody else has in hand by then. (Programs that those have started
find the ends of their pipes closed.) What they say on stderr is shown with the transfer.
Start them from the main thread: the tie is to the thread that does.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pyganeti.base import errors

_TIED: Final = ("--pdeathsig", "KILL", "--")
_LONGEST: Final = 64 * 1024
_LAST_WORDS: Final = 1.0
"""Seconds: what a program has started may keep its stderr for as long as it likes."""


class Program:
    """One program that was started."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.name = name
        self.process = process

    def check(self) -> None:
        """Wait until it has ended; raises Unavailable if it did not do what it should."""
        status = self.process.wait()
        if status < 0:
            raise errors.Unavailable(f"{self.name} was killed by signal {-status}")
        if status:
            raise errors.Unavailable(f"{self.name} failed with exit status {status}")

    def kill(self) -> None:
        """Kill it and its group, unless it has ended."""
        # While nobody has reaped it, its number is nobody else's.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Crew:
    """All programs of this process; ``mark`` is what tells them, and what they start, by."""

    def __init__(self, say: Callable[[str], None], mark: Mapping[str, str]) -> None:
        self._say = say
        self._mark = mark
        self._programs: list[Program] = []
        self._listeners: list[threading.Thread] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a tool gets to see that has none of its own."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

    def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        directory: str = "/",
        descriptors: Sequence[int] = (),
    ) -> Program:
        """Start a program; raises Unavailable if it cannot be."""
        setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
        name = os.path.basename(arguments[0])  # noqa: PTH119 - a name for people
        try:
            process = subprocess.Popen(
                [setpriv, *_TIED, *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env={**environment, **self._mark},
                cwd=directory,
                pass_fds=tuple(descriptors),
                process_group=0,
            )
        except OSError as error:
            raise errors.Unavailable(f"{name} cannot be started: {error.strerror}") from error
        program = Program(name, process)
        self._programs.append(program)
        listener = threading.Thread(target=self._listen, args=(program,), daemon=True)
        listener.start()
        self._listeners.append(listener)
        return program

    def hear_out(self) -> None:
        """Wait a moment for the last words of those that have ended."""
        deadline = time.monotonic() + _LAST_WORDS
        for listener in self._listeners:
            listener.join(max(0.0, deadline - time.monotonic()))

    def kill(self) -> None:
        """Kill whoever is left."""
        for program in self._programs:
            program.kill()

    def _listen(self, program: Program) -> None:
        said = program.process.stderr
        if said is not None:
            with contextlib.suppress(OSError, ValueError):
                while line := said.readline(_LONGEST):
                    text = line.decode(errors="replace").rstrip()
                    if text:
                        self._say(f"{program.name}: {text}")
