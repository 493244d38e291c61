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
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from lab.cluster import machines
from pyganeti.base import log, paths
from pyganeti.clients import node as nodeclient
from pyganeti.watcher import events
from pyganeti.watcher.recovery import recoverer

_LOG: Final = "recoverer.log"
_MARK: Final = "event "
_PAUSE: Final = 0.01
PATIENCE: Final = 30.0


class Recoverer:
    """One that runs; what it ``told`` is in the log of all that ran on its machine."""

    def __init__(self, machine: machines.Machine, *, once: bool = False) -> None:
        self.machine = machine
        self._path = machine.seen(machine.root / _LOG)
        self._before = len(self.log)
        words = ["--once"] if once else []
        top = Path(__file__).parents[1]
        self.pid = machine.spawn(
            "env", f"PYTHONPATH={top}", sys.executable, "-m", "lab.recoverers", *words, log=_LOG
        )
        self._descriptor = os.pidfd_open(self.pid)

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
        deadline = time.monotonic() + within
        while len(found := self.of(name, kind)) < times:
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {within} s for {kind} of {name}; the log:\n{self.log}")
            time.sleep(_PAUSE)
        return found[times - 1]

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def wait_ended(self, within: float = PATIENCE) -> None:
        """Wait until it has ended by itself."""
        deadline = time.monotonic() + within
        while not _has_ended(self.pid):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the recoverer does not end; its log:\n{self.log}")
            time.sleep(_PAUSE)

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
def running(machine: machines.Machine) -> Iterator[Recoverer]:
    """Have one run until the block ends."""
    one = Recoverer(machine)
    try:
        yield one
    finally:
        one.close()


def _has_ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return True
    return state in {b"Z", b"X"}


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
        made = recoverer.Recoverer(layout, caller, listeners=[_Printing()])
        with contextlib.suppress(asyncio.CancelledError):
            await (made.once() if once else made.run())


def main() -> None:
    """Recover until SIGTERM, or once; print events."""
    log.configure(program="recoverer", foreground=True, debug=True)
    asyncio.run(_run(paths.Paths.from_environment(os.environ), once="--once" in sys.argv))


if __name__ == "__main__":
    main()
