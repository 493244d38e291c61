"""Times that bear a clock that jumps: counted on the steady clock, written down on the wall clock.

Within one run only the steady clock counts, so a wall clock that is set makes nothing older or
younger. Only what is read from a file was dated by the wall clock: a time that lies ahead counts as
now, so that a clock set back makes nothing last for ever.
"""

import time
from collections.abc import Callable
from typing import Final


class Clock:
    """Both clocks; ``steady`` and ``wall`` are in seconds."""

    def __init__(
        self,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.steady: Final = steady
        self.wall: Final = wall

    def from_wall(self, at: float) -> float:
        """Return the steady moment of what was written down."""
        return self.steady() - max(0.0, self.wall() - at)

    def to_wall(self, moment: float) -> float:
        """Return what to write down for a steady moment."""
        return self.wall() - (self.steady() - moment)
