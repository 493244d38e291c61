"""Amounts as people type them."""

import re
from typing import Final

from pyganeti.base import errors

_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)")
_MEBIBYTES: Final = {
    "": 1.0,
    "b": 1 / 1024 / 1024,
    "k": 1 / 1024,
    "m": 1.0,
    "g": 1024.0,
    "t": 1024.0**2,
    "p": 1024.0**3,
}


def mebibytes(said: str) -> int:
    """Return an amount such as ``512``, ``512M``, ``1.5g`` or ``2TiB`` in MiB, rounded up to 4.

    Ganeti rounds to multiples of four, for that is what volumes are made of. Raises BadInput.
    """
    match = _AMOUNT.fullmatch(said.strip())
    unit = (match[2].lower().removesuffix("ib").removesuffix("b") if match else "?") or ""
    if match and match[2].lower() == "b":
        unit = "b"
    if match is None or unit not in _MEBIBYTES:
        raise errors.BadInput(f"{said!r} is not an amount such as 512M or 10G")
    exact = float(match[1]) * _MEBIBYTES[unit]
    whole = int(exact) if exact == int(exact) else int(exact) + 1
    return whole if whole % 4 == 0 else whole + 4 - whole % 4
