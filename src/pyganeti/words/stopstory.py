"""One stop in plain words: what happened, what decided, and the timeline of what is known of it.

Pure. Says what the journal's row says and no more: what was not found out is named, never guessed.
"""

import dataclasses
from typing import Final

from pyganeti.model import evidence as evidences
from pyganeti.model import intent as intents
from pyganeti.model import stop as stops
from pyganeti.words import moments, pages

_GUEST: Final = "the guest, told by qemu"
_QEMU: Final = "qemu"
_KERNEL: Final = "the kernel"
_ADMINISTRATOR: Final = "an administrator's intent"
_DAEMON: Final = "kvmd"

_BY_GUESTS: Final = frozenset({"SUSPEND", "SUSPEND_DISK", "GUEST_PANICKED", "GUEST_CRASHLOADED"})
"""Events that only a guest brings about, and that carry no flag that says so."""

_EVENTS: Final = {
    "SHUTDOWN": "the guest was shut down",
    "RESET": "the guest was reset",
    "POWERDOWN": "the power button was pressed from outside",
    "STOP": "the guest's processors were stopped",
    "SUSPEND": "the guest went to sleep (S3)",
    "SUSPEND_DISK": "the guest suspended itself to disk (S4)",
    "WATCHDOG": "the watchdog fired",
    "GUEST_PANICKED": "the guest's kernel panicked",
    "GUEST_CRASHLOADED": "the guest loaded its crash kernel",
    "MIGRATION": "the migration changed its state",
}

_SEEN: Final = {
    evidences.Attachment.WHOLE: "ganeti-kvmd watched it from its beginning",
    evidences.Attachment.PART: "ganeti-kvmd watched it for a part of its life only",
    evidences.Attachment.NEVER: "ganeti-kvmd was never connected to it",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline; ``at`` is in seconds since the epoch, None if it is not known."""

    at: float | None
    source: str
    what: str


def story(stop: stops.Stop, now: float, *, node: str = "") -> str:
    """Return one paragraph: what happened, when and where, what decided, what was missing."""
    found = stop.evidence
    whose = [f"pid {stop.pid}"] if stop.pid is not None else []
    if stop.qemu:
        whose.append(f"QEMU {pages.shown(stop.qemu)}")
    who = pages.shown(stop.name) + (f" ({', '.join(whose)})" if whose else "")
    ran = (
        f", after it had run for {moments.duration(stop.stopped - stop.started)}"
        if stop.started is not None
        else ""
    )
    when = f"{moments.day_and_time(stop.stopped)} ({moments.ago(stop.stopped, now)})"
    where = f" on {pages.shown(node)}" if node else ""
    told = [
        f"{who} {stop.cause.meaning}: {stop.cause.value}.",
        f"That was at {when}{where}{ran}.",
        f"What decided: {pages.shown(stop.why)}.",
    ]
    seen = _SEEN[found.attachment]
    if not found.attached_at_end and found.attachment is not evidences.Attachment.NEVER:
        seen += " and was not connected at its end"
    told.append(f"{seen}.")
    if found.intent is not None:
        told.append(_announced(found.intent, found.pid, stop.stopped))
    if found.intent_note:
        told.append(f"{pages.shown(found.intent_note).capitalize()}.")
    if found.missing:
        told.append(f"Looked for in vain: {pages.shown('; '.join(found.missing))}.")
    return " ".join(told)


def timeline(stop: stops.Stop) -> list[Moment]:
    """Return what is known of the stop in the order of time, what has no time at the end."""
    found = stop.evidence
    ended_at = found.ended_at or None
    moments_ = [_event(event) for event in found.events]
    if stop.started is not None:
        moments_.append(Moment(stop.started, _KERNEL, "qemu was started"))
    if found.intent is not None:
        moments_.append(_intent(found.intent))
    if found.ended and ended_at is not None:
        moments_.append(Moment(ended_at, _DAEMON, "the end of qemu was noticed"))
    if found.exit is not None:
        moments_.append(
            Moment(ended_at, _source(found.exit.source), f"qemu ended with {found.exit}")
        )
    if found.oom_kills:
        plural = "" if found.oom_kills == 1 else "s"
        what = f"{found.oom_kills} out-of-memory kill{plural} counted in {found.oom_source}"
        moments_.append(Moment(ended_at, _KERNEL, what))
    if found.host_rebooted:
        moments_.append(Moment(ended_at, _KERNEL, "the host had booted anew"))
    if found.status:
        moments_.append(Moment(None, "qemu, asked by kvmd", f"run state {found.status}"))
    left = [
        what
        for what, is_left in (
            ("its socket", found.socket_left),
            ("its pid file", found.pid_file_left),
        )
        if is_left
    ]
    if left:
        moments_.append(Moment(None, _DAEMON, f"qemu left {' and '.join(left)} behind"))
    if found.reset_ends_qemu:
        moments_.append(Moment(None, _KERNEL, "qemu was started so as to end on a reset"))
    moments_.append(Moment(stop.recorded, _DAEMON, f"the verdict: {stop.cause.value}"))
    return in_order(moments_)


def in_order(found: list[Moment]) -> list[Moment]:
    """Return moments by their time, those without at the end."""
    return sorted(found, key=lambda one: float("inf") if one.at is None else one.at)


def _event(event: evidences.QmpEvent) -> Moment:
    what = f"{event.name} {event.detail}".rstrip()
    if event.name in _EVENTS:
        what += f": {_EVENTS[event.name]}"
    by_guest = event.guest or (event.guest is None and event.name in _BY_GUESTS)
    return Moment(event.at, _GUEST if by_guest else _QEMU, what)


def _intent(intent: intents.Intent) -> Moment:
    until = moments.day_and_time(intent.deadline)
    what = f"{intent.kind.value} announced for pid {intent.pid}, in force until {until}"
    if intent.job is not None:
        what += f", job {intent.job}"
    if intent.reason:
        what += f": {intent.reason}"
    return Moment(intent.written or None, _ADMINISTRATOR, what)


def _announced(intent: intents.Intent, pid: int | None, stopped: float) -> str:
    job = f" by job {intent.job}" if intent.job is not None else ""
    told = f"An administrator had announced{job}: {intent.kind.value}"
    if intent.pid != pid:
        return f"{told}, but for pid {intent.pid}, so that does not count."
    if stopped > intent.deadline:
        late = moments.duration(stopped - intent.deadline)
        return f"{told}, but that had run out {late} before, so it does not count."
    if stopped < intent.written:
        return f"{told}, but only afterwards, so that does not count."
    return f"{told}, and that was in force."


def _source(source: str) -> str:
    return f"{_KERNEL}, by {source}" if source else _KERNEL
