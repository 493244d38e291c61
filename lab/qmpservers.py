"""Simulated QMP servers: what lies on the wire and how they are served, all in one loop.

They greet, negotiate and answer byte for byte as QEMU 7.2 does, each serving one client at a time.
`lab.simulated` is the program around them, `lab.simulation` the handle for tests.

One level-triggered epoll, no transports. What a slow reader does not take waits in memory, except
for floods, which go at the reader's pace. A client that goes away is never an error; running out
of descriptors is, and ends the program.
"""

import errno
import json
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final

SERVE, BUSY, SILENT, REFUSE = "serve", "busy", "silent", "refuse"
"""Behaviours: as QEMU does; queue clients, as QEMU does while it serves one; accept and say
nothing; be bound without listening, as QEMU is for a moment while it starts."""

STAY, CLOSE, END = "stay", "close", "end"
"""What follows a message: nothing; the connection closes; the server ends as QEMU does, with its
connection, its listener and its file."""

_GREETING: Final = (
    b'{"QMP": {"version": {"qemu": {"micro": %d, "minor": %d, "major": %d}, '
    b'"package": "Debian 1:7.2+dfsg-7+deb12u18+b3"}, "capabilities": ["oob"]}}\r\n'
)
_QUIT: Final = {"guest": False, "reason": "host-qmp-quit"}
_ONCE: Final = 65536
_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLIN | select.EPOLLOUT


class Server:
    """One socket file and what is behind it.

    ``greeting`` is sent to a new client, QEMU's unless given; ``status`` is the run state it
    tells; ``release`` gives the listener's descriptor back once a client is there.
    """

    __slots__ = (
        "after",
        "attached",
        "behaviour",
        "connection",
        "flood",
        "flood_left",
        "greeting",
        "held",
        "listener",
        "name",
        "outgoing",
        "owns_file",
        "release",
        "status",
    )

    def __init__(
        self,
        name: str,
        *,
        behaviour: str = SERVE,
        greeting: bytes | None = None,
        status: str = "running",
        version: tuple[int, int, int] = (7, 2, 22),
        release: bool = False,
    ) -> None:
        self.name = name
        self.behaviour = behaviour
        self.greeting = _GREETING % tuple(reversed(version)) if greeting is None else greeting
        self.status = status
        self.listener: socket.socket | None = None
        self.connection = -1
        self.attached = False
        self.held = b""
        self.outgoing = b""
        self.after = STAY
        self.flood = b""
        self.flood_left = 0
        self.owns_file = True
        self.release = release


class Servers:
    """The servers of one directory by name, the loop they run on, and counts.

    ``attached`` clients have negotiated, ``flooding`` servers are not done; ``flooded_at`` is
    when the last flood ended (CLOCK_MONOTONIC ns); ``accepted``, ``asked`` (query-status) and
    ``quits`` rise from the start.
    """

    def __init__(self, directory: str) -> None:
        self.by_name: dict[str, Server] = {}
        self.accepted = 0
        self.attached = 0
        self.asked = 0
        self.quits = 0
        self.flooding = 0
        self.flooded_at = 0
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._epoll = select.epoll()
        self._on_ready: dict[int, Callable[[int], None]] = {}

    def turn(self) -> None:
        """Wait for something to do, and do it."""
        for descriptor, mask in self._epoll.poll(maxevents=64):
            on_ready = self._on_ready.get(descriptor)
            if on_ready is not None:  # not closed by one before it in this turn
                on_ready(mask)

    def add(self, server: Server) -> None:
        """Bind the socket of a server and begin to behave; its name must be free."""
        server.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.listener.settimeout(0)
        server.listener.bind(f"/proc/self/fd/{self._directory}/{server.name}")
        self.by_name[server.name] = server
        self.behave(server)

    def replace(self, name: str) -> None:
        """Take its file away from a server, which lives on, with its client, as ``NAME@old``."""
        old = self.by_name.pop(name)
        self.by_name[f"{name}@old"] = old
        self.unlink(old)

    def begin_flood(self, server: Server, piece: bytes, times: int) -> None:
        """Begin to send something so many times, as fast as it is read."""
        self.flooding += not server.flood_left
        server.flood = piece * max(1, _ONCE // len(piece))
        server.flood_left = times * len(piece)
        self._epoll.modify(server.connection, _OUT)

    def watch(self, descriptor: int, on_ready: Callable[[int], None]) -> None:
        """Call back, with the mask, whenever the descriptor is readable."""
        self._on_ready[descriptor] = on_ready
        self._epoll.register(descriptor, _IN)

    def _forget(self, descriptor: int) -> None:
        if self._on_ready.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def behave(self, server: Server) -> None:
        """Begin to behave as the server's ``behaviour`` says; REFUSE works only at first."""
        listener = server.listener
        if listener is None or server.behaviour == REFUSE:
            return
        listener.listen(1)  # QEMU's own backlog
        wanted = server.behaviour != BUSY and server.connection < 0
        is_watched = listener.fileno() in self._on_ready
        if wanted and not is_watched:
            self.watch(listener.fileno(), lambda _mask: self._accept(server))
        elif is_watched and not wanted:
            self._forget(listener.fileno())

    def _accept(self, server: Server) -> None:
        if server.listener is None:
            return
        try:
            accepted, _ = server.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.accepted += 1
        accepted.settimeout(0)
        server.connection = accepted.detach()
        self.watch(server.connection, lambda mask: self._serve(server, mask))
        if server.release:
            self._close_listener(server)
        else:
            self._forget(server.listener.fileno())
        if server.behaviour != SILENT:
            self.send(server, server.greeting)

    def _serve(self, server: Server, mask: int) -> None:
        if mask & select.EPOLLOUT:
            self._flush(server)
        if mask & ~select.EPOLLOUT and server.connection >= 0:
            try:
                piece = os.read(server.connection, _ONCE)
            except BlockingIOError:  # the number was another's earlier in this turn
                return
            except ConnectionResetError:
                piece = b""
            if not piece:
                self.close_connection(server)
                return
            *lines, server.held = (server.held + piece).split(b"\n")
            for line in lines:
                if line.strip() and server.connection >= 0:
                    self._answer(server, line)

    def _answer(self, server: Server, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self._reply(server, {}, "error", _error("GenericError", "JSON parse error"))
            return
        returned: dict[str, Any] = {}
        match message.get("execute"):
            case "qmp_capabilities":
                self.attached += not server.attached
                server.attached = True
            case "query-status":
                self.asked += 1
                running = server.status == "running"
                returned = {"status": server.status, "singlestep": False, "running": running}
            case "migrate-set-capabilities":
                pass
            case "quit":
                self.quits += 1
                self.send(server, event("SHUTDOWN", _QUIT))
            case other:
                complaint = f"The command {other} has not been found"
                self._reply(server, message, "error", _error("CommandNotFound", complaint))
                return
        self._reply(server, message, "return", returned)
        if message.get("execute") == "quit":
            self.follow_up(server, END)

    def _reply(self, server: Server, message: dict[str, Any], kind: str, what: object) -> None:
        reply = {kind: what}
        if "id" in message:
            reply["id"] = message["id"]
        self.send(server, json.dumps(reply).encode() + b"\r\n")

    def send(self, server: Server, data: bytes) -> None:
        """Send bytes to its client, if there is one."""
        if server.connection < 0 or not data:
            return
        if server.outgoing or server.flood_left:
            server.outgoing += data
            return
        server.outgoing = data[self._write(server, data) :]
        if server.outgoing:
            self._epoll.modify(server.connection, _OUT)

    def _flush(self, server: Server) -> None:
        if not server.outgoing and server.flood_left:
            server.outgoing = server.flood[: server.flood_left]
            server.flood_left -= len(server.outgoing)
            if not server.flood_left:
                server.flood = b""
                self.flooding -= 1
                self.flooded_at = time.monotonic_ns()
        server.outgoing = server.outgoing[self._write(server, server.outgoing) :]
        if server.connection >= 0 and not server.outgoing and not server.flood_left:
            self._epoll.modify(server.connection, _IN)
            self.follow_up(server, server.after)

    def _write(self, server: Server, data: bytes) -> int:
        try:
            return os.write(server.connection, data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection(server)
            return len(data)

    def follow_up(self, server: Server, then: str) -> None:
        """Do what is to follow a message, once that is read."""
        if server.connection >= 0 and (server.outgoing or server.flood_left):
            server.after = server.after if then == STAY else then
        elif then == CLOSE:
            self.close_connection(server)
        elif then == END:
            self.end(server)

    def close_connection(self, server: Server) -> None:
        """Close the connection, if there is one; the next client is accepted."""
        if server.connection < 0:
            return
        self._forget(server.connection)
        os.close(server.connection)
        server.connection = -1
        self.attached -= server.attached
        self.flooding -= bool(server.flood_left)
        server.attached, server.flood_left = False, 0
        server.held = server.outgoing = server.flood = b""
        after, server.after = server.after, STAY
        if after == END:
            self.end(server)
        else:
            self.behave(server)

    def _close_listener(self, server: Server) -> None:
        if server.listener is not None:
            self._forget(server.listener.fileno())
            server.listener.close()
            server.listener = None

    def unlink(self, server: Server) -> None:
        """Remove the file, unless it belongs to another by now."""
        if server.owns_file:
            server.owns_file = False
            try:
                os.unlink(server.name, dir_fd=self._directory)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def end(self, server: Server) -> None:
        """End without a word, with connection, listener and file; forget the name."""
        self._close_listener(server)
        self.close_connection(server)
        self.unlink(server)
        for name in (server.name, f"{server.name}@old"):
            if self.by_name.get(name) is server:
                del self.by_name[name]


def event(name: str, data: dict[str, Any] | None) -> bytes:
    """Return an event of now as QEMU writes it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    message: dict[str, Any] = {
        "timestamp": {"seconds": seconds, "microseconds": nanoseconds // 1000},
        "event": name,
    }
    if data is not None:
        message["data"] = data
    return json.dumps(message).encode() + b"\r\n"


def _error(kind: str, description: str) -> dict[str, str]:
    return {"class": kind, "desc": description}
