"""The leadership of a daemon whom the nodes confirmed at its start, and that nobody takes away."""

import asyncio
import time

from pyganeti.masterd.election import leadership


class Confirmed:
    """It leads until the process ends."""

    def __init__(self, words: str) -> None:
        self.standing = leadership.Standing(leadership.State.LEADING, time.time(), words)

    @property
    def epoch(self) -> int:
        """No number: the votes know none."""
        return 0

    def check(self) -> None:
        """Allow everything."""

    is_lost = False

    async def assure(self) -> None:
        """Be sure."""

    async def lost(self) -> str:
        """Wait for ever."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    def follow(self, follower: leadership.Follower) -> None:
        """Tell nobody: nothing changes."""
        del follower
