"""A job that bears on a stop, as the master daemon tells of it: an object in the field ``jobs``.

Keys are stable, new ones may be added. Texts are cut, logs are the last lines: all of a job is
asked for by its number.
"""

import enum
from typing import Any, Final

import msgspec

from pyganeti.base import errors

MOST_LINES: Final = 10
MOST_TEXT: Final = 500


class Bearing(enum.StrEnum):
    """What a job has to do with a stop."""

    ENDED = "ended"
    """It ended the instance, or had announced that it would."""

    DURING = "during"
    """About the instance, and under way when it stopped, but without having announced its end."""

    RECOVERY = "recovery"
    """The watcher's, about this stop."""

    AFTER = "after"
    """About the instance, and submitted after the stop and before the next."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job. Times are seconds since 1970; ``error`` is what it failed with, or null.

    ``summary`` has each opcode in a few words, ``log`` the last lines that it said, with their
    times; ``reason`` is the reason trail of its first opcode (`wire.reasontrail`).
    """

    id: int
    bearing: Bearing
    status: str
    summary: list[str]
    received: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: list[Any] = []
    log: list[tuple[float, str]] = []
    error: str | None = None


def jobs_from(told: object) -> list[Job]:
    """Return the jobs that a cell of the field has; raises `errors.Damaged` if it has none."""
    try:
        return msgspec.convert(told, list[Job])
    except msgspec.ValidationError as error:
        raise errors.Damaged(f"these are no jobs: {error}") from error
