r"""Text for terminals and lines for programs: escaping, tables, paragraphs, JSON lines.

A guest's user can choose names and reasons, and an administrator reads them on a terminal: no
control byte, no bidirectional mark and no undecodable byte goes out as it is (`shown`). JSON lines
are plain ASCII, with ``\u`` escapes. A stream that cannot encode a character gets an escape for it.
"""

import json
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from pyganeti.wire import names

_WIDE: Final = frozenset("WF")
_ALIEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_GAP: Final = "  "
_ENCODING: Final = "utf-8"


def shown(text: str) -> str:
    r"""Return the text as it may go to a terminal: what is not a plain character as ``\xNN``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in names.readable(text))


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def write_line(out: TextIO, text: str = "") -> None:
    """Write a line that is for people."""
    encoding = out.encoding or _ENCODING
    out.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def write_table(out: TextIO, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write an aligned table. Cells are made `shown` here; the last column may be of any length."""
    table = [list(heads), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(width(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        cells = [cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
        write_line(out, _GAP.join(cells).rstrip())


def write_paragraph(out: TextIO, text: str, columns: int) -> None:
    """Write a text that is `shown` already, folded between words."""
    for line in textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False):
        write_line(out, line)


def write_json(out: TextIO, found: Mapping[str, Any]) -> None:
    """Write an object on a line of its own."""
    out.write(json.dumps(found, separators=(",", ":")) + "\n")


def _escaped(character: str) -> str:
    code = ord(character)
    if character == " " or unicodedata.category(character) not in _ALIEN | {"Zs"}:
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
