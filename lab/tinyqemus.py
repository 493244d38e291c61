"""Fake qemus as small as can be: one forked process each, which speaks real QMP and dies for real.

Unlike a real qemu one costs two milliseconds, and it says when it was asked for its status; unlike
the simulated servers of `lab.simulated` each has a pid of its own, can be killed by any signal,
and leaves its socket behind then.
"""

import contextlib
import json
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any, NoReturn

GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "fake"}, '
    b'"capabilities": ["oob"]}}\r\n'
)

_LEFT_ALONE = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}
"""Signals that cannot be handled, and the one that Python had better ignore."""


class TinyQemu:
    """One fake qemu, running from construction on. Always `close` it."""

    def __init__(self, path: Path, *, hold: bool = False) -> None:
        """Serve QMP at ``path``; with ``hold`` a power-off pauses instead of ending."""
        self.path = path
        child_orders, self._orders = os.pipe()
        self._reports, reports = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                nothing = os.open(os.devnull, os.O_RDWR)
                for standard in (0, 1, 2):
                    os.dup2(nothing, standard)
                _keep_open(child_orders, reports)
                for number in set(range(1, 32)) - _LEFT_ALONE:
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                _Server(path, reports, hold=hold).serve(child_orders)
            finally:
                os._exit(70)
        os.close(child_orders)
        os.close(reports)
        self.wait_status: int | None = None
        self._seen = b""

    def saw(self, word: str) -> bool:
        """Tell whether it has reported ``word``: ``listening``, or a command it was given."""
        while select.select([self._reports], [], [], 0)[0]:
            part = os.read(self._reports, 4096)
            if not part:
                break
            self._seen += part
        return f"{word}\n".encode() in self._seen

    def emit(self, event: str, **data: object) -> None:
        """Have it send an event."""
        self._order({"event": event, "data": data})

    def power_off(self, **data: object) -> None:
        """Have the guest power itself off; qemu ends with 0, or holds."""
        self._order({"poweroff": data or {"guest": True, "reason": "guest-shutdown"}})

    def exit(self, status: int) -> None:
        """Have it end without a word, leaving its socket."""
        self._order({"exit": status})

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, if it has not been reaped."""
        if self.wait_status is None:
            os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Tell whether it has ended, and reap it."""
        if self.wait_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.wait_status = status
        return self.wait_status is not None

    def close(self) -> None:
        """Kill it if need be, and give everything back but the socket file."""
        deadline = time.monotonic() + 10
        while not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} does not end")
            time.sleep(0.001)
        for descriptor in (self._orders, self._reports):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._orders = self._reports = -1

    def _order(self, order: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, json.dumps(order).encode() + b"\n")


def _keep_open(*kept: int) -> None:
    """Close all other descriptors: as ours, they would keep open what its parent closes."""
    low, high = sorted(kept)
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, os.sysconf("SC_OPEN_MAX"))


class _Server:
    """What runs in the child: one client at a time, as with a real qemu."""

    def __init__(self, path: Path, reports: int, *, hold: bool) -> None:
        self._path = path
        self._reports = reports
        self._hold = hold
        self._status = "running"
        self._server = socket.socket(socket.AF_UNIX)
        self._client: socket.socket | None = None
        self._unread = ""
        self._pending = b""

    def serve(self, orders: int) -> NoReturn:
        """Obey and answer until told to end."""
        self._path.unlink(missing_ok=True)
        self._server.bind(os.fspath(self._path))
        self._server.listen(1)
        self._report("listening")
        while True:
            watched: list[int | socket.socket] = [orders, self._client or self._server]
            ready = select.select(watched, [], [])[0]
            if orders in ready:
                self._obey(os.read(orders, 65536))
            elif self._client is None:
                self._client = self._server.accept()[0]
                self._unread = ""
                self._send(GREETING)
            else:
                self._answer(self._client)

    def _obey(self, part: bytes) -> None:
        if not part:
            os._exit(0)
        *lines, self._pending = (self._pending + part).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "event" in order:
                self._emit(order["event"], order["data"])
            elif "exit" in order:
                os._exit(order["exit"])
            else:
                self._power_off(order["poweroff"])

    def _power_off(self, data: object) -> None:
        self._emit("SHUTDOWN", data)
        if not self._hold:
            self._end()
        self._status = "shutdown"
        self._emit("STOP", {})

    def _answer(self, client: socket.socket) -> None:
        part = b""
        with contextlib.suppress(ConnectionError):
            part = client.recv(65536)
        if not part:
            client.close()
            self._client = None
            return
        self._unread += part.decode()
        while "}" in self._unread:
            text = self._unread.lstrip()
            command, end = json.JSONDecoder().raw_decode(text)
            self._unread = text[end:]
            self._execute(command)

    def _execute(self, command: dict[str, Any]) -> None:
        name = command["execute"]
        answer: dict[str, object] = {"return": {}}
        if name == "query-status":
            running = self._status == "running"
            answer = {"return": {"status": self._status, "running": running}}
        if "id" in command:
            answer["id"] = command["id"]
        self._send(json.dumps(answer).encode() + b"\r\n")
        self._report(name)
        if name == "quit":
            self._emit("SHUTDOWN", {"guest": False, "reason": "host-qmp-quit"})
            self._end()

    def _end(self) -> NoReturn:
        self._path.unlink(missing_ok=True)
        os._exit(0)

    def _emit(self, name: str, data: object) -> None:
        now = time.time()
        stamp = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
        event = {"timestamp": stamp, "event": name, "data": data}
        self._send(json.dumps(event).encode() + b"\r\n")

    def _send(self, line: bytes) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.sendall(line)

    def _report(self, word: str) -> None:
        os.write(self._reports, word.encode() + b"\n")
