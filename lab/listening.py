"""A listener that believes what kvmd's directory tells it, and checks that it makes sense.

Used by the tests and by `python -m lab.directorychild`.
"""

import asyncio
import os
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet


class Believer:
    """Knows of the directory only what it was told; every contradiction is kept in ``faults``."""

    def __init__(self) -> None:
        self.dirfd = -1
        self.names: set[str] = set()
        self.opened = 0
        self.lost = 0
        self.rescans = 0
        self.told: list[tuple[str, str]] = []
        self.faults: list[str] = []

    def on_opened(self, dirfd: int) -> None:
        """Take the directory over."""
        if self.dirfd != -1:
            self.faults.append("opened while open")
        self.dirfd = dirfd
        self.opened += 1
        self.told.append(("opened", ""))

    def on_lost(self) -> None:
        """Forget everything; the descriptor must still be good."""
        os.fstat(self.dirfd)
        self.dirfd = -1
        self.names.clear()
        self.lost += 1
        self.told.append(("lost", ""))

    def on_appeared(self, name: str) -> None:
        """Believe that a name is there."""
        if self.dirfd == -1:
            self.faults.append(f"{name!r} appeared in no directory")
        self.names.add(name)
        self.told.append(("appeared", name))

    def on_vanished(self, name: str) -> None:
        """Believe that a name is gone."""
        if name not in self.names:
            self.faults.append(f"{name!r} vanished but was not there")
        self.names.discard(name)
        self.told.append(("vanished", name))

    def on_rescan(self, names: AbstractSet[str]) -> None:
        """Compare."""
        if names != self.names:
            self.faults.append(f"a scan differs by {sorted(names ^ self.names)[:9]!r}")
        self.rescans += 1
        self.told.append(("rescan", ""))


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """Let the loop run until the condition holds, and return how long that took, in seconds.

    Raises TimeoutError. The loop is asked again each millisecond, so it can idle in between.
    """
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)
    return time.monotonic() - began
