"""How a record becomes printable lines of bounded length, whatever it was made of."""

import re
import traceback
from collections.abc import Mapping
from typing import Final

_LONGEST_VALUE: Final = 2000
_LONGEST_LINE: Final = 8000
_MOST_LINES: Final = 100
"""Of a traceback; its end is what matters."""

_QUOTED: Final = re.compile(r'[\s"\\=]')
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def render(message: str, fields: Mapping[str, object]) -> str:
    """Return one printable line: the message, then ``key=value`` with quotes where needed."""
    parts = [escape(message), *(f"{escape(key)}={_value(fields[key])}" for key in fields)]
    return " ".join(parts)[:_LONGEST_LINE]


def line(text: str) -> str:
    """Return the text as one printable line of bounded length."""
    return escape(text[:_LONGEST_LINE])[:_LONGEST_LINE]


def escape(text: str) -> str:
    r"""Return the text with all that does not print as ``\n``, ``\xNN``, ``\uNNNN``.

    Controls, line separators, what turns the direction of writing, bytes that were not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _ESCAPES.get(c) or _escaped(ord(c)) for c in text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - bytes in disguise, see PEP 383
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:  # noqa: PLR2004 - the last that two digits can say
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - likewise four


def _value(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - foreign code, and only a log message is at stake
        text = f"<{type(value).__name__} that cannot be shown>"
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}…"
    if text.isprintable() and text and not _QUOTED.search(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape(quoted)}"'


def traceback_lines(error: BaseException) -> list[str]:
    """Return the end of an exception's traceback, indented, so that no line looks like a record."""
    text = "".join(traceback.format_exception(error))
    lines = text.rstrip("\n").split("\n")[-_MOST_LINES:]
    return [f"    {line(text)}" for text in lines]
