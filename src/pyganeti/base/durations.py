"""Times as people type them: ``30``, ``5m``, ``2h``, ``3d``, ``1w``."""

import re
from typing import Final

from pyganeti.base import errors

_SAID: Final = re.compile(r"([0-9]+)([smhdw]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds(said: str) -> int:
    """Return a time such as ``30``, ``5m``, ``2h`` or ``3d`` in seconds. Raises BadInput."""
    match = _SAID.fullmatch(said.strip())
    if match is None:
        raise errors.BadInput(f"{said!r} is not a time such as 30, 5m, 2h or 3d")
    return int(match[1]) * _SECONDS[match[2]]
