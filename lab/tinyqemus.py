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
from typing import NoReturn

GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "fake"}, '
    b'"capabilities": ["oob"]}}\r\n'
)


class TinyQemu:
    """One fake qemu, running from construction on. Always `close` it."""

    def __init__(self, path: Path, *, hold: bool = False) -> None:
        """Serve QMP at ``path``; with ``hold`` a power-off pauses instead of ending."""
        self.path = path
        child_orders, self._orders = os.pipe()
        self._reports, reports = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                nothing = os.open(os.devnull, os.O_RDWR)
                for standard in (0, 1, 2):
                    os.dup2(nothing, standard)
                os.close(self._orders)
                os.close(self._reports)
                _serve(path, child_orders, reports, hold=hold)
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


def _serve(path: Path, orders: int, reports: int, *, hold: bool) -> NoReturn:
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen(1)
        os.write(reports, b"listening\n")
        client: socket.socket | None = None
        pending = b""
        unread = b""
        status = "running"
        while True:
            watched = [orders, server if client is None else client]
            ready = select.select(watched, [], [])[0]
            if orders in ready:
                part = os.read(orders, 65536)
                if not part:
                    os._exit(0)
                pending += part
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    order = json.loads(line)
                    if "event" in order:
                        _send(client, _event(order["event"], order["data"]))
                    elif "exit" in order:
                        os._exit(order["exit"])
                    else:
                        _send(client, _event("SHUTDOWN", order["poweroff"]))
                        if not hold:
                            path.unlink(missing_ok=True)
                            os._exit(0)
                        status = "shutdown"
                        _send(client, _event("STOP", {}))
            elif client is None:
                client, _ = server.accept()
                unread = b""
                _send(client, GREETING)
            else:
                try:
                    part = client.recv(65536)
                except ConnectionError:
                    part = b""
                if not part:
                    client.close()
                    client = None
                    continue
                unread += part
                while b"}" in unread:
                    command, end = json.JSONDecoder().raw_decode(unread.decode().lstrip())
                    unread = unread.decode().lstrip()[end:].encode()
                    name = command["execute"]
                    answer: dict[str, object] = {"return": {}}
                    if name == "query-status":
                        answer = {"return": {"status": status, "running": status == "running"}}
                    if "id" in command:
                        answer["id"] = command["id"]
                    _send(client, json.dumps(answer).encode() + b"\r\n")
                    os.write(reports, name.encode() + b"\n")
                    if name == "quit":
                        _send(client, _event("SHUTDOWN", {"guest": False,
                                                          "reason": "host-qmp-quit"}))
                        path.unlink(missing_ok=True)
                        os._exit(0)


def _event(name: str, data: object) -> bytes:
    now = time.time()
    stamp = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
    return json.dumps({"timestamp": stamp, "event": name, "data": data}).encode() + b"\r\n"


def _send(client: socket.socket | None, line: bytes) -> None:
    if client is not None:
        with contextlib.suppress(OSError):
            client.sendall(line)
