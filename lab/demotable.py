"""How the demo is shown: a table that fills up on a terminal, a line for each verdict elsewhere."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from rich.table import Table

HEADS: Final = ("guest", "what was done to it", "why it stopped", "node says", "right?", "ms")
_WIDTHS: Final = (8, 52, 15, 9, 7, 8)
_STYLES: Final = {"right": "green", "WRONG": "bold red"}

Show = Callable[[], None]


class Row(Protocol):
    """What is shown of one guest."""

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """The texts under `HEADS`, as they are now."""

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing to wait for any more."""


@contextlib.contextmanager
def shown(rows: Sequence[Row]) -> Iterator[Show]:
    """Show the rows; call what is yielded whenever one of them may have changed."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        yield from _on_terminal(rows)
    else:
        yield from _as_lines(rows)


def _as_lines(rows: Sequence[Row]) -> Iterator[Show]:
    said: set[int] = set()

    def write(cells: Sequence[str]) -> None:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
        print(line.rstrip(), flush=True)

    def show() -> None:
        for number, row in enumerate(rows):
            if row.is_complete and number not in said:
                said.add(number)
                write(row.cells)

    write(HEADS)
    yield show
    show()


def _on_terminal(rows: Sequence[Row]) -> Iterator[Show]:
    from rich.live import Live  # noqa: PLC0415 - only where a person looks

    def table() -> "Table":
        from rich.table import Table  # noqa: PLC0415 - likewise
        from rich.text import Text  # noqa: PLC0415 - likewise

        found = Table(pad_edge=False)
        for head in HEADS:
            found.add_column(head, justify="right" if head == "ms" else "left")
        for row in rows:
            style = _STYLES.get(row.cells[4], "")
            found.add_row(
                *(Text(cell, style if n == 4 else "") for n, cell in enumerate(row.cells))
            )
        return found

    with Live(table(), auto_refresh=False) as live:
        yield lambda: live.update(table(), refresh=True)
        live.update(table(), refresh=True)
