"""Times as jobs have them."""

from collections.abc import Callable
from typing import TypeAlias

from pyganeti.wire.jobfile import Timestamp

Clock: TypeAlias = Callable[[], float]
"""Seconds of the epoch."""


def split(seconds: float) -> Timestamp:
    """Return a time as seconds and microseconds."""
    whole = int(seconds)
    return whole, int((seconds - whole) * 1_000_000)


def nanoseconds(moment: Timestamp) -> int:
    """Return a time as reason trails have it."""
    return moment[0] * 1_000_000_000 + moment[1] * 1000
