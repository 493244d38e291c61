"""The names of routing tables, as iproute2 keeps them: a routed NIC's link is one of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import errors

PLACES: Final = tuple(
    Path(place, "iproute2") for place in ("/usr/share", "/usr/lib", "/etc")
)  # the last one to name a table wins
_BUILT_IN: Final = {"default": 253, "main": 254, "local": 255}
_MOST: Final = 2**32 - 1
_LINE: Final = re.compile(r"\s*(0x[0-9a-f]+|\d+)\s+(\S+)", re.IGNORECASE | re.ASCII)


def number(name: str, places: Sequence[Path] = PLACES) -> int:
    """Return a table's number from its number or name; raises BadInput if there is none."""
    if name.isascii() and name.isdigit():
        found: int | None = int(name)
    else:
        found = _named(places).get(name)
    if found is None or not 0 < found <= _MOST:
        raise errors.BadInput(
            f"there is no routing table {name}: neither a number nor in rt_tables"
        )
    return found


def _named(places: Sequence[Path]) -> dict[str, int]:
    names = dict(_BUILT_IN)
    for place in places:
        try:
            files = [place / "rt_tables", *sorted((place / "rt_tables.d").glob("*.conf"))]
        except OSError:
            continue
        for file in files:
            try:
                lines = file.read_text(errors="replace").splitlines()
            except OSError:
                continue
            for line in lines:
                if found := _LINE.match(line):
                    names[found[2]] = int(found[1], 0)
    return names
