"""One attempt, and if it succeeds one session, with the qemu behind one socket file.

Connecting never blocks: a Unix socket accepts or refuses at once. It goes through the very file
that was looked at (held by O_PATH, connected to by /proc/self/fd), so the identity kept here is
that of the socket connected to, whatever is renamed meanwhile, and the 107 bytes to which the
kernel limits a socket's path do not matter.

A qemu serves one client at a time. While another one is there, connecting succeeds and no greeting
comes; when it leaves, qemu greets the next in line. So a busy socket is waited for with the
connection left open: each attempt given up would stay in qemu's short queue. The caller runs the
timer and looks at `Connection.is_greeted`.

Behaviour in failure: what prevents a connection is raised as `Refused`; whatever ends one later is
told to the owner once, by `Owner.on_closed`, after everything that had been received before. That
sending fails is not an end yet: there may be unread events, and the end of the stream follows them.
If the owner raises, the connection is closed and the owner told `Reason.FAULT`.

One turn reads at most 4 KiB, and 512 bytes from a peer whose bytes are laborious: 4 KiB of garbage
take 2 ms, and others wait for that.
"""

import contextlib
import enum
import errno
import os
import select
import socket
import stat
import time
from collections.abc import Sequence
from typing import Final, Protocol

from pyganeti.base import errors, processes
from pyganeti.base import poller as pollers
from pyganeti.kvmd.watching import session
from pyganeti.model import evidence

_READ: Final = 4096
_READ_OF_THE_LABORIOUS: Final = 512
_LABORIOUS: Final = 16
"""Happenings or garbage lines in one read, which cost some µs each where others cost 0.3."""

_IN: Final = select.EPOLLIN
_IN_AND_OUT: Final = select.EPOLLIN | select.EPOLLOUT


class Reason(enum.StrEnum):
    """What stood in the way of a connection, or ended it."""

    MISSING = "missing"
    NOT_A_SOCKET = "not a socket"
    REFUSED = "refused"
    BACKLOG = "backlog full"
    DENIED = "permission denied"
    EXHAUSTED = "no descriptors or memory left"
    FAILED = "failed"
    WRONG_GREETING = "wrong greeting"
    NEGOTIATION = "negotiation refused"
    ENDED = "ended"
    FAULT = "fault of ours"


_REASONS: Final = {
    errno.ENOENT: Reason.MISSING,
    errno.ENOTDIR: Reason.MISSING,
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.EAGAIN: Reason.BACKLOG,
    errno.EACCES: Reason.DENIED,
    errno.EPERM: Reason.DENIED,
    errno.EMFILE: Reason.EXHAUSTED,
    errno.ENFILE: Reason.EXHAUSTED,
    errno.ENOBUFS: Reason.EXHAUSTED,
    errno.ENOMEM: Reason.EXHAUSTED,
    errno.ENOSPC: Reason.EXHAUSTED,
}


_NOBODY: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED})


class Refused(errors.Unavailable):
    """No connection came about; `reason` says whether and when to try again."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep the reason; ``detail`` is for people."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Owner(Protocol):
    """Who is told. All are called on the loop and may call the connection's methods."""

    def on_attached(self, connection: "Connection", /) -> None:
        """Negotiation is done and events flow; the status follows by itself."""

    def on_status(self, connection: "Connection", status: str, /) -> None:
        """Tell the answer to query-status."""

    def on_event(self, connection: "Connection", event: evidence.QmpEvent, /) -> None:
        """Tell an event that bears on a stop."""

    def on_garbage(self, connection: "Connection", reason: str, /) -> None:
        """Tell, once in a connection's life, that a line of it was not QMP."""

    def on_closed(self, connection: "Connection", reason: Reason, detail: str, /) -> None:
        """Tell, once and last, that the connection has ended by itself."""


class Connection:
    """A connection that came about. Under a KiB when idle, since there may be ten thousand.

    ``name`` is the socket's file name, ``device``, ``inode`` and ``mtime_ns`` are its file's.
    ``pid`` is that of the process that listens, None if it is in another pid namespace.
    ``fd`` is -1 once closed; ``was_cut`` tells then whether it ended in the middle of a line.
    """

    __slots__ = (
        "_owner",
        "_poller",
        "_read",
        "_session",
        "_unsent",
        "device",
        "fd",
        "inode",
        "mtime_ns",
        "name",
        "pid",
        "was_cut",
    )

    def __init__(
        self,
        poller: pollers.Poller,
        owner: Owner,
        name: str,
        identity: os.stat_result,
        connected: socket.socket,
    ) -> None:
        """Take a connected socket over; `open` is what callers want.

        Raises OSError if it cannot be watched; the socket is closed then.
        """
        self.was_cut = False
        self._poller = poller
        self._owner = owner
        self._session = session.Session()
        self._read = _READ
        self._unsent = b""
        self.name = name
        self.device = identity.st_dev
        self.inode = identity.st_ino
        self.mtime_ns = identity.st_mtime_ns
        self.fd = connected.detach()
        try:
            self.pid = processes.peer_pid(self.fd)
            poller.add(self.fd, _IN, self._on_ready)
        except OSError:
            self.close()
            raise

    @classmethod
    def open(cls, poller: pollers.Poller, directory: int, name: str, owner: Owner) -> "Connection":
        """Connect to the socket ``name`` in the directory of that descriptor, without blocking.

        Raises Refused. The owner is not called before this returns.
        """
        try:
            identity, connected = _connect(directory, name)
            return cls(poller, owner, name, identity, connected)
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, Reason.FAILED)
            raise Refused(reason, error.strerror or repr(error)) from error

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed yet."""
        return self.fd >= 0

    @property
    def is_greeted(self) -> bool:
        """Whether qemu has greeted, which it does not while it serves another client."""
        return self._session.is_greeted

    @property
    def is_attached(self) -> bool:
        """Whether negotiation is done and the connection open: events are being seen."""
        return self.fd >= 0 and self._session.is_attached

    @property
    def version(self) -> str:
        """QEMU's version, such as "7.2.22"; empty before the greeting or if it does not say."""
        return self._session.version

    @property
    def ignored(self) -> int:
        """Messages so far that bear on nothing."""
        return self._session.ignored

    @property
    def garbage(self) -> int:
        """Lines so far that are not QMP."""
        return self._session.garbage

    def query_status(self) -> None:
        """Ask for the run state; nothing happens while not attached or still unanswered."""
        self._session.query_status()
        self._send()

    def quit(self) -> bool:
        """Tell qemu to end, once; returns whether it is there to be told."""
        told = self.is_open and self._session.quit()
        self._send()
        return told

    def close(self) -> None:
        """Leave, without telling the owner. Twice does no harm."""
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        self._poller.remove(fd)
        os.close(fd)

    def _on_ready(self, mask: int) -> None:
        try:
            if mask & select.EPOLLOUT:
                self._send()
            self._receive()
        except Exception as error:
            if self.is_open:
                self._end(Reason.FAULT, repr(error))
            raise

    def _receive(self) -> None:
        detail = ""
        try:
            data = os.read(self.fd, self._read)
        except BlockingIOError:
            return
        except OSError as error:
            data, detail = b"", error.strerror or ""
        garbage = self._session.garbage
        now = time.time()
        happenings = self._session.feed(data, now) if data else self._session.end(now)
        self.was_cut = not data and self._session.garbage > garbage
        laborious = max(len(happenings), self._session.garbage - garbage) > _LABORIOUS
        self._read = _READ_OF_THE_LABORIOUS if laborious else _READ
        if happenings:
            self._tell(happenings)
        self._send()
        if not data and self.is_open:
            self._end(Reason.ENDED, detail)

    def _tell(self, happenings: Sequence[session.Happening]) -> None:
        for happening in happenings:
            if self.fd < 0:
                return
            match happening:
                case session.Noted(event):
                    self._owner.on_event(self, event)
                case session.Status(status):
                    self._owner.on_status(self, status)
                case session.Attached():
                    self._owner.on_attached(self)
                case session.Garbage(reason):
                    self._owner.on_garbage(self, reason)
                case session.WrongGreeting(detail):
                    self._end(Reason.WRONG_GREETING, detail)
                case session.NotNegotiated(detail):
                    self._end(Reason.NEGOTIATION, detail)

    def _end(self, reason: Reason, detail: str) -> None:
        self.close()
        self._owner.on_closed(self, reason, detail)

    def _send(self) -> None:
        had = bool(self._unsent)
        unsent = self._unsent + self._session.take_outgoing()
        if not unsent or self.fd < 0:
            return
        try:
            unsent = unsent[os.write(self.fd, unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            unsent = b""  # the peer has gone; what it sent before is still to be read
        self._unsent = unsent
        if bool(unsent) is not had:
            self._poller.modify(self.fd, _IN_AND_OUT if unsent else _IN)


def listened_to(directory: int, name: str) -> os.stat_result | None:
    """Return the identity of the socket file unless it is certain that nobody listens there."""
    try:
        identity, connected = _connect(directory, name)
    except Refused:
        return None
    except OSError as error:  # too many in line, say
        if error.errno in _NOBODY:
            return None
        with contextlib.suppress(OSError):
            return os.stat(name, dir_fd=directory, follow_symlinks=False)
        return None
    connected.close()
    return identity


def _connect(directory: int, name: str) -> tuple[os.stat_result, socket.socket]:
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        identity = os.fstat(handle)
        if not stat.S_ISSOCK(identity.st_mode):
            raise Refused(Reason.NOT_A_SOCKET, stat.filemode(identity.st_mode))
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connected.connect(f"/proc/self/fd/{handle}")
        except BaseException:
            connected.close()
            raise
        return identity, connected
    finally:
        os.close(handle)
