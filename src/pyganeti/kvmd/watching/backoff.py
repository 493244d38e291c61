"""How long to wait before the next attempt at something that failed. Pure but for the dice."""

import random
from typing import Final

FIRST: Final = 0.01
"""Seconds: a qemu between bind and listen is ready again after a few milliseconds."""

LAST: Final = 15.0
"""Seconds: the longest pause while a socket file is there, so that nobody is given up."""


def pause(attempt: int, *, first: float = FIRST, last: float = LAST) -> float:
    """Return the seconds to wait after the ``attempt``-th failure (1, 2, …): doubled each time.

    Up to a fifth is taken off at random, so that a thousand sockets do not knock in step.
    """
    grown = min(last, first * 2.0 ** min(attempt - 1, 30))
    return grown * random.uniform(0.8, 1.0)
