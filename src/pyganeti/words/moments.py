"""Points in time and lengths of time, as people write and read them. Pure but for the time zone.

Times are seconds since the epoch, and are shown in the local time zone (TZ, or the system's).
Nothing that is shown fails: a time that no calendar has is shown as a number.
"""

import datetime as dt
import math
import re
from typing import Final

from pyganeti.base import errors

UNKNOWN: Final = "-"

_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")
_AGE: Final = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")

_MINUTE: Final = 60
_SHORT: Final = 10


def since(text: str, now: float) -> float:
    """Return the time meant by an age (``45m``, ``2h``, ``3d``, ``1h30m``) or an ISO 8601 time.

    A time without a zone is local, a date is its midnight. Raises `errors.BadInput`.
    """
    asked = text.strip()
    if _AGE.fullmatch(asked.lower()):
        parts = _PART.findall(asked.lower())
        return now - sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        return dt.datetime.fromisoformat(asked).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise errors.BadInput(
            f"{text!r} is neither a time like 2024-05-31T08:30 nor an age like 45m, 2h or 3d"
        ) from error


def day_and_time(at: float | None) -> str:
    """Return ``2024-05-31 08:30:05``."""
    found = _local(at)
    return _as_number(at) if found is None else f"{found:%Y-%m-%d %H:%M:%S}"


def to_the_millisecond(at: float | None) -> str:
    """Return ``2024-05-31 08:30:05.042``."""
    found = _local(at)
    if found is None:
        return _as_number(at)
    return f"{found:%Y-%m-%d %H:%M:%S}.{found.microsecond // 1000:03d}"


def duration(seconds: float | None) -> str:
    """Return the two largest units that matter: ``3d 4h``, ``5min 10s``, ``12s``, ``0.25s``."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < _SHORT:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    if seconds < _MINUTE:
        return f"{int(seconds)}s"
    left = int(seconds)
    parts: list[str] = []
    for name, unit in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if left >= unit or parts:
            parts.append(f"{left // unit}{name}" if left >= unit else "")
            left %= unit
    return " ".join(part for part in parts[:2] if part)


def ago(at: float, now: float) -> str:
    """Return ``2h 5min ago``, or ``in 3s`` if a clock was set back."""
    return f"{duration(now - at)} ago" if at <= now else f"in {duration(at - now)}"


def _local(at: float | None) -> dt.datetime | None:
    if at is None:
        return None
    try:
        return dt.datetime.fromtimestamp(at).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _as_number(at: float | None) -> str:
    return UNKNOWN if at is None else f"{at:.3f}"
