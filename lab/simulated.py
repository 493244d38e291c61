"""Thousands of QMP servers in one process: ``python -m lab.simulated DIRECTORY``.

They do on command what real guests rarely do for a test's sake: all stop at once, flood, go
silent, talk nonsense. `lab.simulation` is the handle to drive them with, `lab.qmpservers` what
they are.

Commands come as JSON lines on stdin, each answered by one JSON line on stdout, in order; the end
of stdin ends the process, which removes its sockets. ``do`` names the command, a method of
`Simulator` whose docstring says what the other members mean. A command with ``names`` left out is
for all servers. An error is answered as ``{"error": "…"}``.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterable
from typing import Any, Final

from lab import qmpservers

_NOISE: Final = (
    '{"timestamp": {"seconds": 1700000000, "microseconds": 123456}, "event": "RTC_CHANGE", '
    '"data": {"offset": 12, "qom-path": "/machine/unattached/device[7]/rtc"}}\r\n'
)
_ONCE: Final = 65536


class Simulator:
    """The commands."""

    def __init__(self, directory: str) -> None:
        self._servers = qmpservers.Servers(directory)
        self._held = b""
        self._ended = False

    def run(self) -> None:
        """Serve until stdin ends."""
        self._servers.watch(0, self._on_commands)
        while not self._ended:
            self._servers.turn()
        for server in self._chosen(None):
            self._servers.end(server)

    def create(
        self,
        names: Iterable[str],
        behaviour: str = qmpservers.SERVE,
        greeting: str | None = None,
        status: str = "running",
        version: tuple[int, int, int] = (7, 2, 22),
        *,
        release: bool = False,
        replace: bool = False,
    ) -> dict[str, Any]:
        """Bind a socket of each of these file names.

        ``greeting`` is sent instead of QEMU's (each character a byte). ``release`` gives the
        listener's descriptor back once a client is there; the file stays. ``replace`` takes the
        file of a server of that name away, which lives on, with its client, as ``NAME@old``.
        """
        for name in names:
            if name in self._servers.by_name:
                if not replace:
                    raise ValueError(f"{name} is there already")
                self._servers.replace(name)
            self._servers.add(
                qmpservers.Server(
                    name,
                    behaviour=behaviour,
                    greeting=None if greeting is None else _bytes(greeting),
                    status=status,
                    version=version,
                    release=release,
                )
            )
        return {}

    def behave(self, behaviour: str, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Change the behaviour towards clients to come; REFUSE cannot be gone back to."""
        for server in self._chosen(names):
            server.behaviour = behaviour
            self._servers.behave(server)
        return {}

    def event(
        self,
        event: str,
        data: dict[str, Any] | None = None,
        names: Iterable[str] | None = None,
        then: str = qmpservers.STAY,
        status: str | None = None,
    ) -> dict[str, Any]:
        """Emit an event; ``status`` is the run state told from then on.

        Answers ``sent``: for each server, in order, CLOCK_MONOTONIC in nanoseconds just before
        it was sent, 0 where no client has negotiated, so that the event is lost, as with QEMU.
        """
        sent = []
        chosen = self._chosen(names)
        for server in chosen:
            if status is not None:
                server.status = status
            line = qmpservers.event(event, data) if server.attached else b""
            sent.append(time.monotonic_ns() if line else 0)
            self._servers.send(server, line)
        for server in chosen:
            self._servers.follow_up(server, then)
        return {"names": [server.name for server in chosen], "sent": sent}

    def send(
        self, data: str, names: Iterable[str] | None = None, then: str = qmpservers.STAY
    ) -> dict[str, Any]:
        """Send raw bytes (each character one) to whoever is connected."""
        for server in self._chosen(names):
            self._servers.send(server, _bytes(data))
            self._servers.follow_up(server, then)
        return {}

    def flood(
        self, lines: int, line: str = _NOISE, names: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Begin to send a line so many times to each, as fast as it is read.

        A ``line`` without a newline makes one unending line. ``report`` tells the progress. An
        event that is emitted meanwhile comes in the midst of it, between two lines.
        """
        for server in self._chosen(names):
            if server.connection < 0:
                raise ValueError(f"{server.name} has no client to flood")
            self._servers.begin_flood(server, _bytes(line), lines)
        return {}

    def close(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Close connections; new ones are accepted."""
        for server in self._chosen(names):
            self._servers.close_connection(server)
        return {}

    def unlink(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Remove the files; connections go on."""
        for server in self._chosen(names):
            self._servers.unlink(server)
        return {}

    def end(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """End without a word; the name may be created again."""
        for server in self._chosen(names):
            self._servers.end(server)
        return {}

    def abandon(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """End without a word and leave the file behind, as a killed QEMU does."""
        for server in self._chosen(names):
            server.owns_file = False
            self._servers.end(server)
        return {}

    def report(self) -> dict[str, Any]:
        """Answer with counts.

        ``servers`` and of them ``attached`` (negotiated now), ``flooding`` and ``flooded_at``
        (when the last flood ended, CLOCK_MONOTONIC ns); since the start ``accepted``
        connections, ``asked`` (query-status) and ``quits``.
        """
        return {
            "servers": len(self._servers.by_name),
            "attached": self._servers.attached,
            "flooding": self._servers.flooding,
            "flooded_at": self._servers.flooded_at,
            "accepted": self._servers.accepted,
            "asked": self._servers.asked,
            "quits": self._servers.quits,
        }

    def _on_commands(self, _mask: int) -> None:
        piece = os.read(0, _ONCE)
        if not piece:
            self._ended = True
            return
        self._held += piece
        if b"\n" not in piece:
            return
        *lines, self._held = self._held.split(b"\n")
        for line in lines:
            _write_all(1, json.dumps(self._obey(line)).encode() + b"\n")

    def _obey(self, line: bytes) -> dict[str, Any]:
        commands = {
            command.__name__: command
            for command in (
                self.create,
                self.behave,
                self.event,
                self.send,
                self.flood,
                self.close,
                self.unlink,
                self.end,
                self.abandon,
                self.report,
            )
        }
        try:
            command = json.loads(line)
            return commands[command.pop("do")](**command)
        except (OSError, LookupError, TypeError, ValueError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _chosen(self, names: Iterable[str] | None) -> list[qmpservers.Server]:
        if names is None:
            return list(self._servers.by_name.values())
        return [self._servers.by_name[name] for name in names]


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main() -> int:
    """Serve the directory that is the only argument."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        Simulator(sys.argv[1]).run()
    except (KeyboardInterrupt, BrokenPipeError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
