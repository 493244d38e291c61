"""The handle to `lab.simulated`: starts its processes, tells them what to do, ends them.

Names here are file names of sockets, such as ``web1.kvmd``. The processes end with their stdin,
thus with this program however it ends. Every answer is waited for with a deadline.

    with simulation.Simulation(ctrl_dir) as simulated:
        simulated.create(simulation.names(10_000), release=True)
        simulated.wait_attached(10_000)
        sent = simulated.power_off()        # all at once; {file name: CLOCK_MONOTONIC ns}

Ten thousand servers need 20,000 descriptors, or half of that with ``release``, or ``processes=2``.
The commands' exact meanings are in the docstrings of `lab.simulated.Simulator`.
"""

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from lab import qemus, qmpservers, simulated

PATIENCE: Final = 30.0
"""How long any answer may take, in seconds."""

_AT_ONCE: Final = 65536


class Failed(Exception):
    """A command could not be carried out; the message is the simulator's."""


def names(number: int, *, prefix: str = "guest", suffix: str = ".kvmd") -> list[str]:
    """Return file names, numbered from 0."""
    return [f"{prefix}{index:05}{suffix}" for index in range(number)]


class _Process:
    """One ``python -m lab.simulated``: a command line in, an answer line out."""

    def __init__(self, directory: Path) -> None:
        self._held = bytearray()
        self._child = subprocess.Popen(
            [sys.executable, "-m", simulated.__name__, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            start_new_session=True,
            bufsize=0,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def ask(self, command: dict[str, Any]) -> None:
        if self._child.stdin is None:
            raise Failed("no simulator is there")
        line = memoryview(json.dumps(command).encode() + b"\n")
        while line:
            line = line[os.write(self._child.stdin.fileno(), line) :]

    def answer(self, within: float) -> dict[str, Any]:
        if self._child.stdout is None:
            raise Failed("no simulator is there")
        output = self._child.stdout.fileno()
        deadline = time.monotonic() + within
        while not self._held.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not qemus.readable(output, left):
                raise TimeoutError(f"no answer within {within} s")
            piece = os.read(output, _AT_ONCE)
            if not piece:
                raise Failed(f"the simulator has ended with status {self._child.wait()}")
            self._held += piece
        answer: dict[str, Any] = json.loads(self._held)
        self._held.clear()
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        self._close_pipes()

    def end(self) -> None:
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


class Simulation:
    """Simulated QMP servers in one directory, dealt out to one or several processes."""

    def __init__(self, directory: Path, *, processes: int = 1) -> None:
        self._processes: list[_Process] = []
        try:
            for _ in range(processes):
                self._processes.append(_Process(directory))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all; their files go too."""
        while self._processes:
            self._processes.pop().end()

    @property
    def pids(self) -> list[int]:
        """The simulators' process numbers."""
        return [process.pid for process in self._processes]

    def kill(self) -> None:
        """Kill all the processes, as ``kill -9`` of that many qemus: files stay behind."""
        while self._processes:
            self._processes.pop().kill()

    def create(
        self,
        chosen: Sequence[str],
        *,
        behaviour: str = qmpservers.SERVE,
        greeting: bytes | None = None,
        status: str = "running",
        version: tuple[int, int, int] = (7, 2, 22),
        release: bool = False,
        replace: bool = False,
    ) -> None:
        """Bind these sockets, and serve whoever connects."""
        self._command(
            "create",
            chosen,
            behaviour=behaviour,
            greeting=None if greeting is None else greeting.decode("latin-1"),
            status=status,
            version=version,
            release=release,
            replace=replace,
        )

    def behave(self, behaviour: str, chosen: Sequence[str] | None = None) -> None:
        """Treat clients to come otherwise, for example serve those who wait for a busy server."""
        self._command("behave", chosen, behaviour=behaviour)

    def emit(
        self,
        event: str,
        data: dict[str, Any] | None = None,
        chosen: Sequence[str] | None = None,
        *,
        then: str = qmpservers.STAY,
        status: str | None = None,
    ) -> dict[str, int]:
        """Emit an event; return when it was sent to each, CLOCK_MONOTONIC in ns (0: not sent)."""
        sent: dict[str, int] = {}
        options = {"event": event, "data": data, "then": then, "status": status}
        for answer in self._command("event", chosen, **options):
            sent.update(zip(answer["names"], answer["sent"], strict=True))
        return sent

    def power_off(
        self, chosen: Sequence[str] | None = None, *, hold: bool = False
    ) -> dict[str, int]:
        """Power guests off from inside, all together; see `emit` for the result.

        The servers end, or with ``hold`` stay, in status ``shutdown``, until told to quit.
        """
        data = {"guest": True, "reason": "guest-shutdown"}
        then, status = (qmpservers.STAY, "shutdown") if hold else (qmpservers.END, None)
        return self.emit("SHUTDOWN", data, chosen, then=then, status=status)

    def send(
        self, data: bytes, chosen: Sequence[str] | None = None, *, then: str = qmpservers.STAY
    ) -> None:
        """Send raw bytes to whoever is connected."""
        self._command("send", chosen, data=data.decode("latin-1"), then=then)

    def flood(
        self, lines: int, chosen: Sequence[str] | None = None, *, line: bytes | None = None
    ) -> None:
        """Begin to send a line (default: RTC_CHANGE) so often to each; see `wait_flooded`."""
        options = {} if line is None else {"line": line.decode("latin-1")}
        self._command("flood", chosen, lines=lines, **options)

    def close_connections(self, chosen: Sequence[str] | None = None) -> None:
        """Close connections; the servers accept new ones."""
        self._command("close", chosen)

    def unlink(self, chosen: Sequence[str] | None = None) -> None:
        """Remove the files; connections go on."""
        self._command("unlink", chosen)

    def end(self, chosen: Sequence[str] | None = None) -> None:
        """End servers without a word; their names may be created again."""
        self._command("end", chosen)

    def abandon(self, chosen: Sequence[str] | None = None) -> None:
        """End servers without a word, leaving their files behind."""
        self._command("abandon", chosen)

    def report(self) -> dict[str, int]:
        """Return counts over all processes; see `lab.simulated.Simulator.report`."""
        total: dict[str, int] = {}
        for answer in self._command("report", None):
            for key, value in answer.items():
                is_time = key.endswith("_at")
                total[key] = max(total.get(key, 0), value) if is_time else total.get(key, 0) + value
        return total

    def wait_attached(self, number: int, *, within: float = PATIENCE) -> None:
        """Wait until so many servers have a client that has negotiated."""
        qemus.wait_until(
            lambda: self.report()["attached"] == number, within=within, what=f"{number} clients"
        )

    def wait_flooded(self, *, within: float = PATIENCE) -> int:
        """Wait until all floods are read; return when, CLOCK_MONOTONIC in nanoseconds."""
        qemus.wait_until(
            lambda: self.report()["flooding"] == 0, within=within, what="the end of a flood"
        )
        return self.report()["flooded_at"]

    def _command(
        self, do: str, chosen: Iterable[str] | None, **options: object
    ) -> list[dict[str, Any]]:
        """Tell each process its share, all at once, and collect the answers."""
        asked = []
        for index, process in enumerate(self._processes):
            command: dict[str, Any] = {"do": do, **options}
            if chosen is not None:
                mine = [name for name in chosen if self._share(name) == index]
                if not mine:
                    continue
                command["names"] = mine
            process.ask(command)
            asked.append(process)
        return [process.answer(PATIENCE) for process in asked]

    def _share(self, name: str) -> int:
        plain = os.fsencode(name.removesuffix("@old"))
        return zlib.crc32(plain) % len(self._processes)
