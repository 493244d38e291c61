"""Rows that an opcode answers, as tables or JSON: what ``volumes``, ``power`` and others print."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import listing, session, tables

_UNITS: Final = click.option(
    "--units",
    type=click.Choice(["h", "m", "g", "t"]),
    default="h",
    help="Sizes in units that fit, or all in MiB, GiB or TiB.",
)
_OUTPUT: Final = click.option(
    "-o",
    "--output",
    metavar="FIELDS",
    help="Show these fields, separated by commas; +FIELDS: besides the usual ones.",
)


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a sub-command the options of such tables; it gets them as ``look``."""
    return listing.options(with_query=False)(_UNITS(_OUTPUT(function)))


def chosen(
    look: listing.Look, known: Sequence[tables.Column], usual: Sequence[str]
) -> list[tables.Column]:
    """Return the columns that are wanted; raises BadInput for one that there is not."""
    by_name = {column.name: column for column in known}
    names = look.chosen(usual)
    if unknown := [name for name in names if name not in by_name]:
        raise errors.BadInput(f"there are no fields {', '.join(unknown)}, but {', '.join(by_name)}")
    return [by_name[name] for name in names]


def show(
    current: session.Session,
    columns: Sequence[tables.Column],
    rows: Sequence[Sequence[Any]],
    look: listing.Look,
) -> None:
    """Print rows of plain values."""
    if look.as_json:
        for row in rows:
            current.out_json(dict(zip((one.name for one in columns), row, strict=True)))
        return
    cells = [[(tables.NORMAL, value) for value in row] for row in rows]
    for line in tables.lines(columns, cells, look.style(current)):
        current.out(line)
