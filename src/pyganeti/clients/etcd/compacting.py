"""Has etcd forget what is long past, so that its room lasts.

etcd keeps every value that a key ever had until it is told to forget, and does not forget by itself
unless its operator sets that up. A queue writes a few values for each job, so that the room which
etcd has by default would be spent in weeks. Whoever leads forgets what was before the last round;
those who watch are never that far behind, and read anew if they are.

In failure nothing is lost but time: the next round does it.
"""

import asyncio
import random
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client

_LOG = log.get(__name__)

INTERVAL: Final = 300.0
"""Seconds between rounds: the past that is kept."""


async def forget(etcd: client.Client, key: bytes, *, interval: float = INTERVAL) -> None:
    """Forget, round by round, for ever; ``key`` is any key, of which nothing is wanted."""
    last = 0
    while True:
        await asyncio.sleep(interval * random.uniform(0.9, 1.1))
        try:
            if last:
                await etcd.compact(last)
            last = (await etcd.range(key, key + b"\0", bare=True)).revision
        except errors.Failure as error:
            _LOG.warning("etcd does not forget what is past", reason=str(error))
