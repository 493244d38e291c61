"""What is known about the end of one qemu, as it is judged and as it is stored in the journal.

Everything a verdict may rest on is a field here, so that a stored row can be judged again and a
person can see what was missing. Times are seconds since the epoch.
"""

import enum
import os
import signal

import msgspec

from pyganeti.model import intent as intents


class Attachment(enum.StrEnum):
    """How much of the qemu's life was seen on its QMP socket."""

    WHOLE = "whole"
    PART = "part"
    NEVER = "never"


class QmpEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A QMP event that bears on a stop.

    ``at`` is qemu's own timestamp, ``detail`` the event's reason, action or status, ``guest``
    whether the guest caused it (None before QEMU 2.10 and in events that do not say).
    """

    at: float
    name: str
    detail: str = ""
    guest: bool | None = None


class ExitStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the qemu process ended: the kernel's wait status and who reported it."""

    wait_status: int
    source: str = ""

    @property
    def signal(self) -> int | None:
        """The signal that ended the process, None if it exited."""
        return self.wait_status & 0x7F or None

    @property
    def code(self) -> int | None:
        """The exit code, None if a signal ended the process."""
        return None if self.signal else os.waitstatus_to_exitcode(self.wait_status & 0xFFFF)

    @property
    def dumped_core(self) -> bool:
        """Whether the kernel wrote a core dump."""
        return bool(self.signal and self.wait_status & 0x80)

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit status {self.code}"
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        return f"{name} with a core dump" if self.dumped_core else name


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All that was found out about one stop. A field at its default was not found out.

    ``attached_at_end`` says whether the QMP socket was connected when the guest stopped, so that
    the absence of an event means something. ``events`` holds only what bears on this stop, oldest
    first: RESET and RESUME have already cleared what they undo. ``status`` is the last run state
    that query-status told. ``ended`` is False while a stopped guest's qemu is still there.
    ``oom_kills`` counts the kernel's out-of-memory kills in the qemu's cgroup (or, if
    ``oom_source`` says so, on the host) that no other stop has accounted for. ``reset_ends_qemu``
    says whether the command line had ``-no-reboot`` or the like, which makes a held ``shutdown``
    ambiguous, as does not knowing it. ``missing`` names evidence that was looked for in vain, in
    words for people.
    """

    pid: int | None = None
    attachment: Attachment = Attachment.NEVER
    attached_at_end: bool = False
    events: tuple[QmpEvent, ...] = ()
    status: str = ""
    ended: bool = True
    exit: ExitStatus | None = None
    oom_kills: int = 0
    oom_source: str = ""
    host_rebooted: bool = False
    intent: intents.Intent | None = None
    intent_note: str = ""
    reset_ends_qemu: bool | None = None
    socket_left: bool | None = None
    pid_file_left: bool | None = None
    ended_at: float = 0.0
    missing: tuple[str, ...] = ()
