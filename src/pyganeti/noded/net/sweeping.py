"""Cleans up after taps that go while nobody of ours is at it: a qemu that crashed or was killed.

The kernel takes the tap; what it does not take (routing rules, a switch's ports, what a site's
script did) goes a moment later, and what was left while no daemon ran goes at the start.

Failure: a sweep that fails is told and repeated after a while. Where the kernel does not tell of
departures, there is a sweep every half minute.
"""

import asyncio
import contextlib
from typing import Final

from pyganeti.base import errors, log
from pyganeti.noded.net import departures, network

_LOG: Final = log.get(__name__)

_TOGETHER: Final = 0.1
"""Seconds from a departure to the sweep: many guests may end at once, in order too."""

_AGAIN: Final = 30.0


class Sweeping:
    """Sweeps one node's network, from `start` to `close`."""

    def __init__(self, swept: network.Network) -> None:
        self._network = swept
        self._gone = asyncio.Event()
        self._departures = departures.Departures(self._gone.set)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a first sweep."""
        is_told = True
        try:
            self._departures.open()
        except OSError as error:
            _LOG.warning("the kernel does not tell of taps that go", why=str(error))
            is_told = False
        self._task = asyncio.get_running_loop().create_task(self._run(is_told=is_told))

    async def close(self) -> None:
        """Sweep no longer."""
        self._departures.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, *, is_told: bool) -> None:
        while True:
            is_clean = await self._sweep()
            pause = None if is_told and is_clean else _AGAIN
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._gone.wait()
            await asyncio.sleep(_TOGETHER)
            self._gone.clear()

    async def _sweep(self) -> bool:
        try:
            released = await self._network.sweep()
        except errors.Failure as error:
            _LOG.error("what taps left behind was not removed", why=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - a task's top frame
            _LOG.exception("what taps left behind was not removed", error=repr(error))
            return False
        if released:
            _LOG.info("what taps left behind was removed", instances=released)
        return True
