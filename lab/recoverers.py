"""The recovering part of the watcher alone, on a machine of `lab.cluster`, and what it announces.

    with recoverers.running(cluster.master) as recoverer:
        recoverer.wait_for("restarted", "web1")

Its events are lines of JSON in a file below the machine's root.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from lab.cluster import machines
from pyganeti.base import log, paths
from pyganeti.clients import node as nodeclient
from pyganeti.watcher import events
from pyganeti.watcher.recovery import moments, recoverer

_LOG: Final = "recoverer.log"
_OFFSET: Final = "clock-offset"
_MARK: Final = "event "
_BEGINS: Final = "recovery begins"
_PAUSE: Final = 0.01
PATIENCE: Final = 30.0
USUAL: Final = 30.0
"""Seconds between the watcher's sweeps, unless told otherwise."""
SWEEP: Final = 1.0
"""Seconds between sweeps, so that tests do not wait half a minute for what they find."""


class Recoverer:
    """One that runs; what it ``told`` is in the log of all that ran on its machine."""

    def __init__(
        self, machine: machines.Machine, *, once: bool = False, sweep: float = SWEEP
    ) -> None:
        self.machine = machine
        self._path = machine.seen(machine.root / _LOG)
        self._before = len(self.log)
        words = [str(sweep), *(["--once"] if once else [])]
        top = Path(__file__).parents[1]
        self.pid = machine.spawn(
            "env", f"PYTHONPATH={top}", sys.executable, "-m", "lab.recoverers", *words, log=_LOG
        )
        self._descriptor = os.pidfd_open(self.pid)

    def set_clock(self, offset: float) -> None:
        """Have its wall clock, and that of those after it, be so many seconds ahead of the time."""
        path = self.machine.seen(self.machine.root / _OFFSET)
        fresh = path.with_suffix(".new")
        fresh.write_text(str(offset))
        fresh.rename(path)

    @property
    def log(self) -> str:
        """All that it and those before it have logged."""
        return self._path.read_text() if self._path.exists() else ""

    @property
    def told(self) -> list[events.Event]:
        """What was announced since this one was started."""
        lines = self.log[self._before :].split("\n")[:-1]
        return [
            msgspec.json.decode(line.removeprefix(_MARK), type=events.Event)
            for line in lines
            if line.startswith(_MARK)
        ]

    def of(self, name: str, *kinds: str) -> list[events.Event]:
        """Return what was announced about an instance."""
        return [
            one for one in self.told if one.instance == name and (not kinds or one.kind in kinds)
        ]

    def wait_for(
        self, kind: str, name: str, *, times: int = 1, within: float = PATIENCE
    ) -> events.Event:
        """Wait until something was announced about an instance, so many times; return the last."""
        self._wait(lambda: len(self.of(name, kind)) >= times, f"{kind} of {name}", within)
        return self.of(name, kind)[times - 1]

    def wait_begun(self, within: float = PATIENCE) -> None:
        """Wait until it follows the nodes."""
        self._wait(lambda: _BEGINS in self.log[self._before :], "it to begin", within)

    def _wait(self, holds: Callable[[], bool], what: str, within: float) -> None:
        deadline = time.monotonic() + within
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {within} s for {what}; the log:\n{self.log}")
            time.sleep(_PAUSE)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def wait_ended(self, within: float = PATIENCE) -> None:
        """Wait until it has ended by itself."""
        self._wait(lambda: _has_ended(self.pid), "its end", within)

    def close(self) -> None:
        """End it, if it runs; harmless twice."""
        if self._descriptor >= 0:
            if not _has_ended(self.pid):
                self.kill()
            os.close(self._descriptor)
            self._descriptor = -1

    def _end(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)
        self.wait_ended()


@contextlib.contextmanager
def running(machine: machines.Machine, *, sweep: float = SWEEP) -> Iterator[Recoverer]:
    """Have one run until the block ends."""
    one = Recoverer(machine, sweep=sweep)
    try:
        one.wait_begun()
        yield one
    finally:
        one.close()


def _has_ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return True
    return state in {b"Z", b"X"}


def _offset(path: Path) -> float:
    try:
        return float(path.read_text())
    except FileNotFoundError:
        return 0.0


class _Printing:
    async def on_event(self, event: events.Event) -> None:
        line = _MARK.encode() + msgspec.json.encode(event) + b"\n"
        os.write(1, line)


async def _run(layout: paths.Paths, *, once: bool) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is one
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with nodeclient.Caller(nodeclient.context_of(layout)) as caller:
        made = recoverer.Recoverer(
            layout,
            caller,
            listeners=[_Printing()],
            sweep=float(sys.argv[1]),
            clock=moments.Clock(wall=lambda: time.time() + _offset(layout.root / _OFFSET)),
        )
        with contextlib.suppress(asyncio.CancelledError):
            await (made.once() if once else made.run())


def main() -> None:
    """Recover until SIGTERM, or once; print events."""
    log.configure(program="recoverer", foreground=True, debug=True)
    asyncio.run(_run(paths.Paths.from_environment(os.environ), once="--once" in sys.argv))


if __name__ == "__main__":
    main()
