"""Free MAC addresses: three bytes of the cluster's or a network's, three drawn."""

import re
from collections.abc import Callable, Container
from typing import Final

from pyganeti.base import errors

_PREFIX: Final = re.compile(r"[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}")
_DRAWS: Final = 64
_COUNT: Final = 1 << 24


def check_prefix(prefix: str) -> None:
    """Raise BadInput unless addresses can begin with it: three bytes, and no group address."""
    if not _PREFIX.fullmatch(prefix):
        raise errors.BadInput(f"{prefix!r} is not a MAC prefix such as aa:00:00")
    if int(prefix[:2], 16) & 1:
        raise errors.BadInput(f"{prefix} would make MAC addresses of groups, not of cards")


def free(prefix: str, taken: Container[str], draw: Callable[[int], int]) -> str:
    """Return an address that is not taken; ``draw(n)`` is a random number below n.

    ``taken`` has addresses in lower case. Raises Exhausted if all are.
    """
    number = 0
    for _ in range(_DRAWS):
        number = draw(_COUNT)
        if (address := _address(prefix, number)) not in taken:
            return address
    for step in range(1, _COUNT):  # nearly all are: look at each
        if (address := _address(prefix, (number + step) % _COUNT)) not in taken:
            return address
    raise errors.Exhausted(f"no MAC address that begins with {prefix} is free")


def _address(prefix: str, number: int) -> str:
    return f"{prefix}:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
