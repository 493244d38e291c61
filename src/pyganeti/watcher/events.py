"""What the watcher tells those who want to know: each stop, and what came of it.

Listeners are told in the order in which things happen, each at its own pace, and never hold
recovery up: who is too slow misses the oldest, and that is logged. After a crash of the watcher an
event may come again; ``key``, ``kind`` and ``attempt`` tell.
"""

import enum
from typing import Protocol

import msgspec

from pyganeti.model import cause as causes


class Kind(enum.StrEnum):
    """What happened. Values are stable: programs match them."""

    STOPPED = "stopped"
    """A stop was seen."""

    RESTARTING = "restarting"
    """A job that starts the instance was submitted."""

    RESTARTED = "restarted"
    """That job ended well."""

    FAILED = "failed"
    """That job failed."""

    GAVE_UP = "gave-up"
    """It fell too often, and will not be started again until somebody forgives."""

    RECORDED_DOWN = "recorded-down"
    """It is recorded as wanted to be down."""

    LEFT = "left"
    """By its policy nothing is done about this stop."""

    FORGIVEN = "forgiven"
    """It may be started again after it had been given up."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    ``at`` is when, ``stopped`` when the guest stopped, in seconds since 1970; ``key`` identifies
    the qemu that stopped, "" if its stop is on no record. ``attempt`` counts the restarts that
    count, this one included, 0 where it is about none. ``job`` is the job's number. ``seconds`` is
    how long it took: from the stop to the restart. ``text`` adds why, "" if there is no more to
    say.
    """

    kind: Kind
    instance: str
    node: str
    at: float
    cause: causes.Cause
    stopped: float | None = None
    key: str = ""
    attempt: int = 0
    job: int | None = None
    seconds: float | None = None
    text: str = ""


class Listener(Protocol):
    """Who is told."""

    async def on_event(self, event: Event) -> None:
        """Take an event; further ones wait until this returns. What is raised is logged."""
