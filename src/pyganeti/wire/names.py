r"""Names that are not UTF-8, on their way into formats that hold nothing else.

A guest is named after a file, and a file name is bytes. Inside the program such a name is a str
with surrogate escapes, which neither SQLite nor JSON takes. The journal keeps its exact bytes
(`to_column`); everything that is meant for reading shows them as ``\xNN`` (`readable`). Nothing
here fails: every str has a form in both.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

_UNREADABLE: Final = re.compile("[\ud800-\udfff]")


def to_column(name: str) -> str | bytes:
    """Return the name as the journal keeps it: text, or bytes if it is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name) if _is_escaped(name) else readable(name)
    return name


def from_column(value: object) -> str:
    """Return the name that `to_column` had put into the journal."""
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return str(value)


def readable(text: str) -> str:
    r"""Return ``text`` with every surrogate written out: ``\xNN`` for a byte, else ``\uNNNN``."""
    return _UNREADABLE.sub(_written_out, text) if not text.isascii() else text


def all_readable(value: object) -> object:
    """Return a JSON-like value with every string in it made readable, keys included."""
    match value:
        case str():
            return readable(value)
        case Mapping():
            return {all_readable(key): all_readable(held) for key, held in value.items()}
        case Sequence() if not isinstance(value, bytes):
            return [all_readable(held) for held in value]
    return value


def _is_escaped(name: str) -> bool:
    return all("\udc80" <= found <= "\udcff" for found in _UNREADABLE.findall(name))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"  # noqa: PLR2004
