"""Having guests of `lab.cluster` fall, each in its own way, from outside and behind all daemons."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from lab import consoles, qmpclient
from lab.cluster import machines


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest by its instance's name, on the node where it runs."""

    node: machines.Machine
    name: str

    @property
    def pid(self) -> int | None:
        """Its qemu's process number outside, None if there is none."""
        try:
            inner = int((self.node.layout.kvm_pid_dir / self.name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        outer = self.node.namespace.processes().get(inner)
        if outer is None:
            return None
        try:
            line = Path(f"/proc/{outer}/cmdline").read_bytes()
        except OSError:
            return None
        return outer if b"qemu-system" in line.partition(b"\0")[0] else None

    def send(self, number: signal.Signals) -> None:
        """Send its qemu a signal; ProcessLookupError if there is none."""
        pid = self.pid
        if pid is None:
            raise ProcessLookupError(f"{self.name} does not run on {self.node.port}")
        os.kill(pid, number)

    def say(self, letter: str) -> None:
        """Tell it something; one that has not booted yet hears it then."""
        with consoles.Console(self.node.layout.ctrl_dir / f"{self.name}.serial") as console:
            console.say(letter)

    def quit(self) -> None:
        """Tell its qemu to quit."""
        path = self.node.layout.ctrl_dir / f"{self.name}.qmp"
        with qmpclient.Client(path) as client, contextlib.suppress(qmpclient.Ended):
            client.command("quit")
