"""One qemu under watch: who it is, what has been seen of it, and how far its end has got.

A guest belongs to one process behind one socket, not to a name: the name may be in use by the next
qemu before the verdict on this one is out. No I/O here; `watch` and `inquest` act on it.
"""

import enum
from typing import Final, Protocol

from pyganeti.kvmd import ledger
from pyganeti.model import evidence as evidences
from pyganeti.model import stop

_SETTING_OUT: Final = frozenset({"setup", "active"})


class Phase(enum.IntEnum):
    """How far the end has got. It only ever moves forward, which is what makes it once only."""

    WATCHED = 0
    ENDING = 1
    JUDGED = 2
    RECORDED = 3


class Line(Protocol):
    """What can be asked of a qemu that is connected."""

    def query_status(self) -> None:
        """Ask for the run state; the answer comes later."""

    def quit(self) -> bool:
        """Tell qemu to end, once; return whether it is there to be told."""


class Guest:
    """The state of one qemu; about half a KiB, since there may be ten thousand."""

    __slots__ = (
        "boot_id",
        "connection",
        "events",
        "incoming",
        "key",
        "lost_at",
        "name",
        "phase",
        "pid",
        "qemu",
        "reset_ends_qemu",
        "since",
        "socket",
        "started",
        "status",
        "ticks",
        "was_cut",
        "was_left",
        "whole",
    )

    def __init__(
        self,
        *,
        name: str,
        key: str,
        boot_id: str,
        socket: str,
        pid: int | None,
        ticks: int | None,
        started: float | None,
        since: float,
        qemu: str = "",
    ) -> None:
        self.name = name
        self.key = key
        self.boot_id = boot_id
        self.socket = socket
        self.pid = pid
        self.ticks = ticks
        self.started = started
        self.since = since
        self.qemu = qemu
        self.connection: Line | None = None
        self.lost_at = 0.0
        self.was_cut = False
        self.was_left = False
        self.whole = True
        self.incoming = False
        self.reset_ends_qemu: bool | None = None
        self.status = ""
        self.events: ledger.Events = ()
        self.phase = Phase.WATCHED

    @classmethod
    def restored(cls, row: stop.Watched) -> "Guest":
        """Make the guest that an earlier run of the daemon watched; nobody watched it since."""
        guest = cls(
            name=row.name,
            key=row.key,
            boot_id=row.boot_id,
            socket=row.socket,
            pid=row.pid,
            ticks=row.start_ticks,
            started=row.started,
            since=row.since,
            qemu=row.qemu,
        )
        guest.whole = False
        guest.incoming = row.incoming
        guest.reset_ends_qemu = row.reset_ends_qemu
        guest.status = row.status
        guest.events = row.events
        return guest

    def row(self) -> stop.Watched:
        """Return what must outlive the daemon."""
        return stop.Watched(
            name=self.name,
            key=self.key,
            boot_id=self.boot_id,
            socket=self.socket,
            pid=self.pid,
            start_ticks=self.ticks,
            started=self.started,
            since=self.since,
            attached=self.attached,
            whole=self.whole,
            incoming=self.incoming,
            reset_ends_qemu=self.reset_ends_qemu,
            status=self.status,
            events=self.events,
            qemu=self.qemu,
        )

    def note(self, event: evidences.QmpEvent) -> bool:
        """Take an event into account; tell whether the evidence has changed by it.

        An arriving guest runs (RESUME) before its migration is reported as completed (QEMU 7.2).
        Should that report be missed, the beginning of its next migration, away, says as much.
        """
        if event.name == "MIGRATION" and self.incoming:
            if event.detail == "completed":
                self.incoming = False
                return True
            if event.detail in _SETTING_OUT and self.status == "running":
                self.incoming = False
                return True
        before = self.events, self.status
        if event.name == "RESUME":
            self.status = "running"
        self.events = ledger.note(self.events, event)
        return (self.events, self.status) != before

    def take_status(self, status: str) -> bool:
        """Take the answer to query-status into account; tell whether it was news."""
        changed = status != self.status
        self.status = status
        if status == "inmigrate":
            self.incoming = True
        return changed

    @property
    def attached(self) -> bool:
        """Whether its events are being seen."""
        return self.connection is not None

    @property
    def attachment(self) -> evidences.Attachment:
        """How much of its life has been seen."""
        return evidences.Attachment.WHOLE if self.whole else evidences.Attachment.PART
