"""Many starts at once: qemus come up first, then their guests run.

A guest that has just been let go takes all of a processor, for seconds. When more instances are
started at once than there are processors, the first guests would boot at the cost of qemus that
are still coming up, and the calls that wait for those would take half as long again. So then a
guest waits until the others' qemus are there, a quarter of a second at most: who starts one after
the other without a pause keeps none from running. With a processor for each start nobody waits.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

_PATIENCE: Final = 0.25
"""Seconds that a guest waits for others at most."""


class Rush:
    """The starts under way on this node."""

    def __init__(self, processors: int, *, patience: float = _PATIENCE) -> None:
        self._processors = processors
        self._patience = patience
        self._coming = 0
        self._calm = asyncio.Event()
        self._calm.set()

    @contextlib.contextmanager
    def coming_up(self) -> Iterator[None]:
        """Count a start whose qemu is not there yet."""
        self._coming += 1
        if self._coming > self._processors:
            self._calm.clear()
        try:
            yield
        finally:
            self._coming -= 1
            if not self._coming:
                self._calm.set()

    async def calm(self) -> None:
        """Return when a guest may run."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._calm.wait()
