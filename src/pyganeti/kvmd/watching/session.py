"""The talk with one qemu, without its socket: bytes in, happenings and bytes out.

The order of a session: greeting, ``qmp_capabilities``, its reply (attached), ``query-status``, its
reply, then ``migrate-set-capabilities`` for the events that tell a migration's end; one command
at a time. From the greeting on, the events that bear on a stop are handed on, all others counted.

It reports and does not judge: the receiving side of a migration has a MIGRATION event with status
"completed" too, and a RESET or RESUME clears nothing here.

Invariants: whatever arrives, in whatever pieces, nothing is raised and the happenings are the same;
of a line that is not QMP, only the first is reported, so a flood of them costs no memory. Before
the greeting nothing but a greeting is accepted: another program's socket is refused, not listened
to. What waits to be sent is bounded, since a question is not repeated while it is unanswered.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyganeti.model import evidence
from pyganeti.qmp import messages, stream


@dataclass(frozen=True, slots=True)
class Attached:
    """Events flow from now on; ``version`` is QEMU's, empty if it did not say."""

    version: str


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to query-status, such as "running", "shutdown" or "inmigrate"."""

    status: str


@dataclass(frozen=True, slots=True)
class Noted:
    """An event that bears on a stop."""

    event: evidence.QmpEvent


@dataclass(frozen=True, slots=True)
class Garbage:
    """The first line of this session that is not QMP."""

    reason: str


@dataclass(frozen=True, slots=True)
class WrongGreeting:
    """Whoever listens there does not speak QMP; the session is over."""

    detail: str


@dataclass(frozen=True, slots=True)
class NotNegotiated:
    """QEMU refused ``qmp_capabilities``; the session is over."""

    detail: str


Happening: TypeAlias = Attached | Status | Noted | Garbage | WrongGreeting | NotNegotiated

SIGNIFICANT: Final = {
    "SHUTDOWN": "reason",
    "RESET": "reason",
    "POWERDOWN": "",
    "STOP": "",
    "RESUME": "",
    "SUSPEND": "",
    "SUSPEND_DISK": "",
    "WAKEUP": "",
    "WATCHDOG": "action",
    "GUEST_PANICKED": "action",
    "GUEST_CRASHLOADED": "action",
    "MIGRATION": "status",
}
"""The events that bear on a stop, and which member of their data is the detail, if any."""

_CAPABILITIES: Final = "capabilities"
_STATUS: Final = "status"
_MIGRATION_EVENTS: Final = "migration-events"
_QUIT: Final = "quit"

_NEGOTIATE: Final = messages.command("qmp_capabilities", _CAPABILITIES)
_ASK_STATUS: Final = messages.command("query-status", _STATUS)
_SEND_QUIT: Final = messages.command("quit", _QUIT)
_WANT_MIGRATION_EVENTS: Final = messages.command(
    "migrate-set-capabilities",
    _MIGRATION_EVENTS,
    {"capabilities": [{"capability": "events", "state": True}]},
)


class _Phase(enum.IntEnum):
    SILENT = 0
    GREETED = 1
    ATTACHED = 2
    OVER = 3


class Session:
    """One session. ``ignored`` and ``garbage`` count lines, ``version`` is the greeting's."""

    __slots__ = (
        "_asking",
        "_migration_events",
        "_outgoing",
        "_phase",
        "_quitting",
        "_stream",
        "garbage",
        "ignored",
        "version",
    )

    def __init__(self) -> None:
        self._stream = stream.Stream()
        self._phase = _Phase.SILENT
        self._asking = False
        self._migration_events = False
        self._quitting = False
        self._outgoing = b""
        self.version = ""
        self.ignored = 0
        self.garbage = 0

    @property
    def is_greeted(self) -> bool:
        """Whether QEMU has greeted; while it serves another client it does not."""
        return self._phase is not _Phase.SILENT

    @property
    def is_attached(self) -> bool:
        """Whether negotiation is done and events flow."""
        return self._phase is _Phase.ATTACHED

    @property
    def held(self) -> int:
        """Bytes of an unfinished line that are being kept, at most `stream.LONGEST_LINE`."""
        return self._stream.held

    def feed(self, data: bytes, now: float) -> Sequence[Happening]:
        """Take bytes from QEMU.

        ``now``, in seconds since the epoch, dates events that bear no timestamp of QEMU's.
        """
        if self._phase is _Phase.OVER:
            return ()
        return self._interpret(self._stream.feed(data), now)

    def end(self, now: float) -> Sequence[Happening]:
        """Take the end of the stream, which ends a last line that had no newline yet.

        A greeting cut short is no wrong greeting: whoever began it has died.
        """
        if self._phase in (_Phase.SILENT, _Phase.OVER):
            self._stream = stream.Stream()
            return ()
        return self._interpret(self._stream.end(), now)

    def take_outgoing(self) -> bytes:
        """Return what is to be sent to QEMU now, each byte once."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def query_status(self) -> None:
        """Ask for the run state, unless an answer is awaited already or nobody is there."""
        if self.is_attached and not self._asking:
            self._asking = True
            self._outgoing += _ASK_STATUS

    def quit(self) -> bool:
        """Tell QEMU to end, once; returns whether it is there to be told."""
        if not self.is_attached:
            return False
        if not self._quitting:
            self._quitting = True
            self._outgoing += _SEND_QUIT
        return True

    def _interpret(self, items: Sequence[stream.Item], now: float) -> Sequence[Happening]:
        happenings: list[Happening] = []
        ignored = 0
        for item in items:
            event = item.event
            if event in SIGNIFICANT or not event or self._phase is _Phase.SILENT:
                if isinstance(item, stream.Garbage):
                    self._take_garbage(item, happenings)
                elif self._phase is _Phase.SILENT:
                    self._greet(item, happenings)
                elif event:
                    happenings.append(Noted(_event(item, now)))
                else:
                    self._take_reply(item, happenings)
                if self._phase is _Phase.OVER:
                    self._stream = stream.Stream()
                    break
            else:
                ignored += 1
        if ignored:
            self.ignored += ignored
        return happenings

    def _take_garbage(self, item: stream.Garbage, happenings: list[Happening]) -> None:
        self.garbage += 1
        if self._phase is _Phase.SILENT:
            self._phase = _Phase.OVER
            happenings.append(WrongGreeting(item.reason))
            return
        self._asking = False  # the line may have been the answer
        if self.garbage == 1:
            happenings.append(Garbage(item.reason))

    def _greet(self, message: messages.Message, happenings: list[Happening]) -> None:
        if message.event or not bytes(message.greeting).startswith(b"{"):
            self._phase = _Phase.OVER
            happenings.append(WrongGreeting("a message that is not a greeting"))
            return
        self._phase = _Phase.GREETED
        self.version = messages.version(message)
        self._outgoing += _NEGOTIATE

    def _take_reply(self, message: messages.Message, happenings: list[Happening]) -> None:
        complaint = messages.complaint(message)
        match messages.identity(message):
            case "capabilities" if self._phase is _Phase.GREETED:
                if complaint or not bytes(message.returned):
                    self._phase = _Phase.OVER
                    happenings.append(NotNegotiated(complaint or "neither yes nor no"))
                    return
                self._phase = _Phase.ATTACHED
                happenings.append(Attached(self.version))
                self.query_status()
            case "status" if self._asking:
                self._asking = False
                if status := messages.text(messages.members(message.returned).get("status")):
                    happenings.append(Status(status))
                if not self._migration_events:
                    self._migration_events = True
                    self._outgoing += _WANT_MIGRATION_EVENTS
            case "migration-events":
                # Refused while a migration is under way: asked again after the next status.
                self._migration_events = not complaint
            case _:
                self.ignored += 1


def _event(message: messages.Message, now: float) -> evidence.QmpEvent:
    data = messages.members(message.data)
    guest = data.get("guest")
    return evidence.QmpEvent(
        at=messages.happened(message, now),
        name=message.event,
        detail=messages.text(data.get(SIGNIFICANT[message.event])),
        guest=guest if isinstance(guest, bool) else None,
    )
