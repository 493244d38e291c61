"""A small blocking QMP client: what a test, or the demo, uses to play the administrator.

Every wait has a deadline. Events are kept in the order in which they came, with the moment at
which they were read. Not for the daemons: it blocks, and it keeps every event for ever.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PATIENCE: Final = 10.0
"""How long to wait for an answer or an event unless told otherwise, in seconds."""


class Refused(Exception):
    """QEMU answered a command with an error; the message is QEMU's."""


class Ended(Exception):
    """The connection has ended; ``events`` of the client holds what came before."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as QEMU sent it; ``at`` is QEMU's timestamp in seconds since the epoch."""

    name: str
    data: Mapping[str, Any]
    at: float

    def __str__(self) -> str:
        members = " ".join(f"{name}={json.dumps(value)}" for name, value in self.data.items())
        return f"{self.name} {members}".rstrip()


class Client:
    """One connection to one QMP socket, negotiated when made."""

    def __init__(self, path: Path | str, *, within: float = PATIENCE) -> None:
        self.events: list[Event] = []
        self._held = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._connect(str(path), time.monotonic() + within)
            self.greeting = self._next(time.monotonic() + within)["QMP"]
            self.command("qmp_capabilities", within=within)
        except BaseException:
            self._socket.close()
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
        """Leave; QEMU goes on."""
        self._socket.close()

    def command(self, name: str, *, within: float = PATIENCE, **arguments: object) -> Any:  # noqa: ANN401 (JSON)
        """Execute a command and return its result.

        An underscore in an argument's name stands for QMP's hyphen. Raises `Refused`, `Ended`,
        and TimeoutError.
        """
        message: dict[str, object] = {"execute": name}
        if arguments:
            message["arguments"] = {key.replace("_", "-"): arguments[key] for key in arguments}
        deadline = time.monotonic() + within
        self._socket.settimeout(within)
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError) as error:
            self.read_to_end()
            raise Ended(f"{name}: {error}") from error
        while True:
            answer = self._next(deadline)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Refused(f"{name}: {answer['error'].get('desc')}")

    def status(self) -> str:
        """Return the run state."""
        return str(self.command("query-status")["status"])

    def wait_for(
        self,
        name: str,
        matches: Callable[[Event], bool] = lambda _: True,
        *,
        within: float = PATIENCE,
    ) -> Event:
        """Return the first event of that name, of those that came already or come in time."""
        deadline = time.monotonic() + within
        seen = 0
        while True:
            for event in self.events[seen:]:
                if event.name == name and matches(event):
                    return event
            seen = len(self.events)
            self._next(deadline, only_event=True)

    def read_to_end(self, *, within: float = PATIENCE) -> list[Event]:
        """Read until QEMU closes the connection; return all events since the beginning."""
        deadline = time.monotonic() + within
        try:
            while True:
                self._next(deadline, only_event=True)
        except Ended:
            return self.events

    def _connect(self, path: str, deadline: float) -> None:
        while True:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                self._socket.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.005)
            else:
                return

    def _next(self, deadline: float, *, only_event: bool = False) -> dict[str, Any]:
        """Return the next answer or greeting, noting events; or, if asked, the next event."""
        while True:
            while b"\n" not in self._held:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"nothing more came; events: {[*map(str, self.events)]}")
                self._socket.settimeout(left)
                try:
                    piece = self._socket.recv(65536)
                except ConnectionResetError as error:
                    raise Ended("reset") from error
                if not piece:
                    raise Ended("end of file")
                self._held += piece
            line, _, self._held = self._held.partition(b"\n")
            message: dict[str, Any] = json.loads(line)
            if "event" not in message:
                return message
            stamp = message["timestamp"]
            at = stamp["seconds"] + stamp["microseconds"] / 1e6
            self.events.append(Event(message["event"], message.get("data", {}), at))
            if only_event:
                return message
