"""Watches that go on: past a lost member, past a forgotten past, past a silent line.

What is watched is read first, and again whenever something may have been missed; then it is told
as a whole, and whoever follows compares. So nothing is missed, and nothing has to be remembered.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client, failures, messages

_LOG = log.get(__name__)

_PAUSES: Final = (0.1, 5.0)


async def follow(
    etcd: client.Client,
    key: bytes,
    end: bytes,
    *,
    bare: bool = False,
    only_deletions: bool = False,
    pauses: tuple[float, float] = _PAUSES,
) -> AsyncIterator[messages.Range | messages.News]:
    """Yield a whole range, then what happens in it; the range again where something was missed.

    For ever: an etcd that does not answer is asked again after pauses that grow. With ``bare``
    ranges have no values.
    """
    pause = pauses[0]
    while True:
        try:
            found = await etcd.range(key, end, bare=bare)
            yield found
            async for news in etcd.watch(
                key, end, found.revision + 1, only_deletions=only_deletions
            ):
                pause = pauses[0]
                if news.events:
                    yield news
        except failures.Compacted:
            _LOG.info("etcd has forgotten what happened: it is read anew", key=key.decode())
        except errors.Failure as error:
            _LOG.debug("a watch was broken off", key=key.decode(), reason=str(error))
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))
        pause = min(pause * 2, pauses[1])


async def value(
    etcd: client.Client, key: bytes, *, glance: float, heard: Callable[[], None] = lambda: None
) -> AsyncGenerator[messages.Item | None, None]:
    """Yield one key whenever it is another, None when it is gone; at first as it is.

    It is watched, and looked at every ``glance`` seconds too, so that a silent line costs no more
    than that. ``heard`` is called whenever etcd has said how it is, be it as it was.
    """
    changed = asyncio.Event()

    async def watch() -> None:
        async for _ in follow(etcd, key, key + b"\0", bare=True):
            changed.set()

    watching = asyncio.create_task(watch(), name=f"watch {key.decode()}")
    last: messages.Item | None = None
    is_first = True
    try:
        while True:
            changed.clear()
            try:
                found = await etcd.get(key, patience=glance)
            except errors.Failure as error:
                _LOG.debug("a key cannot be looked at", key=key.decode(), reason=str(error))
            else:
                heard()
                if is_first or found != last:
                    is_first, last = False, found
                    yield found
            try:
                async with asyncio.timeout(glance):
                    await changed.wait()
            except TimeoutError:
                continue
    finally:
        watching.cancel()
        await asyncio.wait({watching})
