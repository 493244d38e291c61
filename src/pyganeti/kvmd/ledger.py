"""Which of a qemu's events still bear on its next stop. Pure; the verdict itself is in ``cause``.

A flag belongs to one stop: what a RESET or a RESUME undoes is struck out, and an event that comes
again replaces its predecessor. So the ledger holds at most one event of a name, whatever a hostile
guest sends, and can be written to disk as it stands.
"""

from typing import Final

from pyganeti.model import evidence

_OUTLIVES_RESUME: Final = frozenset({"POWERDOWN"})
"""A request to power down is not withdrawn by a snapshot or a pause that falls into its grace."""

_HARMLESS_WATCHDOG: Final = frozenset({"none", "inject-nmi"})

Events = tuple[evidence.QmpEvent, ...]


def note(events: Events, event: evidence.QmpEvent) -> Events:
    """Return the events that bear on the next stop once ``event`` has happened too.

    The same tuple comes back when nothing changed, so that callers can tell by identity. An
    arriving migration is not for this function: see `guest.Guest.note`.
    """
    match event.name:
        case "RESET":
            return () if events else events
        case "RESUME":
            kept = tuple(e for e in events if _outlives_resume(e))
            return kept if len(kept) != len(events) else events
        case "WAKEUP":
            return without(events, "SUSPEND")
        case "MIGRATION":
            if event.detail != "completed":
                return without(events, "MIGRATION") if event.detail == "failed" else events
        case "WATCHDOG":
            if event.detail in _HARMLESS_WATCHDOG:
                return events
        case "SHUTDOWN":
            if any(e.name == "SHUTDOWN" for e in events):
                return events
        case "GUEST_CRASHLOADED":
            return events
        case "GUEST_PANICKED":
            if event.detail == "run" and any(e.name == "GUEST_PANICKED" for e in events):
                return events
    return (*without(events, event.name), event)


def without(events: Events, name: str) -> Events:
    """Return ``events`` less those of that name; the same tuple if there are none."""
    if any(e.name == name for e in events):
        return tuple(e for e in events if e.name != name)
    return events


def last(events: Events, name: str) -> evidence.QmpEvent | None:
    """Return the event of that name that still counts."""
    return next((e for e in events if e.name == name), None)


def _outlives_resume(event: evidence.QmpEvent) -> bool:
    if event.name == "WATCHDOG":  # its "shutdown" presses the power button, like POWERDOWN
        return event.detail == "shutdown"
    return event.name in _OUTLIVES_RESUME
