"""Rows of cells as text: aligned columns for people, separated ones for programs, JSON for both.

A cell is (status, value) as the query language answers it. What cannot be known is written so that
it cannot be taken for a value: ``(nodata)``, ``(unavail)``, ``(offline)``, ``(unknown)`` when asked
to be verbose, and ``?``, ``-``, ``*``, ``??`` otherwise.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors

NORMAL: Final = 0
UNKNOWN: Final = 1
NO_DATA: Final = 2
UNAVAILABLE: Final = 3
OFFLINE: Final = 4

_SHORT: Final = {UNKNOWN: "??", NO_DATA: "?", UNAVAILABLE: "-", OFFLINE: "*"}
_LONG: Final = {
    UNKNOWN: "(unknown)",
    NO_DATA: "(nodata)",
    UNAVAILABLE: "(unavail)",
    OFFLINE: "(offline)",
}
_NARROWEST: Final = 8
"""Characters that a column keeps however small the terminal is."""

Cell = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its field's name, title and kind."""

    name: str
    title: str
    kind: str

    @property
    def is_number(self) -> bool:
        """Whether its values line up at the right."""
        return self.kind in {"number", "unit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a table is to look. ``width`` 0: as wide as it needs."""

    headers: bool = True
    separator: str | None = None
    units: str = "h"
    """h: each value with the unit that fits it; m, g, t: all in MiB, GiB, TiB, without a word."""

    verbose: bool = False
    width: int = 0
    colours: bool = False
    """Whether titles stand out, and how things stand is seen at a glance."""


_RESET: Final = "\x1b[0m"
_TITLE: Final = "\x1b[1m"
_COLOURS: Final = {"bad": "\x1b[31m", "good": "\x1b[32m", "between": "\x1b[33m"}
_GOOD: Final = frozenset({"running", "success"})
_BETWEEN: Final = frozenset({"waiting", "canceling", "USER_down"})


def has_colours() -> bool:
    """Return whether who looks at the terminal wants colours, and it has them."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def terminal_width() -> int:
    """Return how wide the terminal is."""
    import shutil  # compression libraries come with it

    return shutil.get_terminal_size().columns


def size(mebibytes: float, units: str) -> str:
    """Write an amount of MiB; raises BadInput for units that are none."""
    if units == "h":
        if abs(mebibytes) < 1024:  # noqa: PLR2004 - MiB in a GiB
            return f"{round(mebibytes):d}M"
        if abs(mebibytes) < 1024 * 1024:
            return f"{mebibytes / 1024:.1f}G"
        return f"{mebibytes / 1024 / 1024:.1f}T"
    if units == "m":
        return f"{round(mebibytes):d}"
    if units == "g":
        return f"{mebibytes / 1024:.1f}"
    if units == "t":
        return f"{mebibytes / 1024 / 1024:.1f}"
    raise errors.BadInput(f"units are h, m, g or t, not {units!r}")


def text(cell: Cell, column: Column, style: Style) -> str:
    """Write one cell."""
    status, value = cell
    if status != NORMAL:
        return (_LONG if style.verbose else _SHORT).get(status, "??")
    return _value(value, column.kind, style)


def lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], style: Style) -> list[str]:
    """Return the table's lines."""
    body = [[text(c, k, style) for c, k in zip(row, columns, strict=True)] for row in rows]
    titles = [column.title for column in columns]
    if style.separator is not None:
        table = [titles, *body] if style.headers else body
        return [style.separator.join(row) for row in table]
    table = [titles, *body] if style.headers else body
    widths = [max((len(row[i]) for row in table), default=0) for i in range(len(columns))]
    widths = _fit(widths, style.width)
    shown = [_line(row, columns, widths) for row in table]
    if style.colours:
        shown = [_coloured(row, columns, cells) for row, cells in zip(table, shown, strict=True)]
        if style.headers:
            shown[0] = [f"{_TITLE}{cell}{_RESET}" for cell in _line(titles, columns, widths)]
    return [" ".join(cells).rstrip() for cells in shown]


def _value(value: Any, kind: str, style: Style) -> str:  # noqa: ANN401 - JSON
    if value is None:
        return "-"
    write: Callable[[Any], str] | None = _WRITERS.get(kind)
    if kind == "unit" and isinstance(value, (int, float)):
        return size(value, style.units if style.separator is None or style.units != "h" else "m")
    if isinstance(value, bool):
        return "Y" if value else "N"
    if write is not None:
        return write(value)
    if isinstance(value, (list, tuple)):
        return ",".join(_value(item, "other", style) for item in value)
    if isinstance(value, dict):
        return ",".join(f"{key}={_value(one, 'other', style)}" for key, one in value.items())
    return str(value)


def moment(value: Any) -> str:  # noqa: ANN401 - JSON
    """Write a time: seconds, or seconds and microseconds."""
    import datetime as dt

    seconds = value[0] + value[1] / 1e6 if isinstance(value, (list, tuple)) else value
    try:
        when = dt.datetime.fromtimestamp(seconds).astimezone()
    except (TypeError, ValueError, OverflowError, OSError):
        return str(value)
    return when.strftime("%Y-%m-%d %H:%M:%S")


def _moments(values: Any) -> str:  # noqa: ANN401 - JSON
    return ",".join("-" if value is None else moment(value) for value in values)


def _pending(requests: Any) -> str:  # noqa: ANN401 - JSON
    """Write who waits for a lock, and how each wants it: ``exclusive:12,shared:14``."""
    return ",".join(f"{mode}:{'/'.join(map(str, owners))}" for mode, owners in requests) or "-"


_WRITERS: Final = {"timestamp": moment, "timestamps": _moments, "pending": _pending}


def _fit(widths: list[int], room: int) -> list[int]:
    """Narrow the widest columns, one after the other, until the line fits."""
    if room <= 0:
        return widths
    fitted = list(widths)
    while sum(fitted) + len(fitted) - 1 > room:
        widest = max(range(len(fitted)), key=fitted.__getitem__)
        if fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    cells = []
    for content, column, width in zip(row, columns, widths, strict=True):
        shown = content if len(content) <= width else content[: width - 1] + "…"
        cells.append(shown.rjust(width) if column.is_number else shown.ljust(width))
    return cells


def _coloured(row: Sequence[str], columns: Sequence[Column], cells: Sequence[str]) -> list[str]:
    """Return a line's cells, those that say how something stands in its colour."""
    found = []
    for content, column, cell in zip(row, columns, cells, strict=True):
        colour = _COLOURS.get(_judged(content)) if column.name == "status" else None
        found.append(cell if colour is None else f"{colour}{cell}{_RESET}")
    return found


def _judged(status: str) -> str:
    """Say what a status of an instance or a job is to people: good, bad, something between."""
    if status.startswith("ERROR_") or status == "error":
        return "bad"
    if status in _GOOD:
        return "good"
    return "between" if status in _BETWEEN else ""
