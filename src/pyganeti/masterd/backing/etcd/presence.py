"""Which daemons run, leading or standing by: each has a key in etcd for as long as it does.

Nothing depends on it: people are told by it who would take over. So it is written by whoever runs,
without a condition, and with a lease of its own that outlives a moment without etcd.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client, leases, messages, watching
from pyganeti.masterd.backing.etcd import keys
from pyganeti.wire import leaderkeys

_LOG = log.get(__name__)

_SECONDS: Final = 15
_PAUSE: Final = 2.0
_GIVING_BACK: Final = 1.0


async def shown(etcd: client.Client, where: keys.Keys, name: str) -> None:
    """Have it be seen that a node's daemon runs, until cancelled."""
    key = leaderkeys.standbys(where.root) + name.encode()
    while True:
        lease = leases.Lease(etcd, _SECONDS)
        try:
            await lease.grant()
            put = messages.Put(key, b"", lease.number)
            await etcd.transact(messages.Transaction(then=(put,)))
            await lease.keep()
        except errors.Failure as error:
            _LOG.debug("it is not seen that this node stands by", why=str(error))
        except asyncio.CancelledError:
            with contextlib.suppress(errors.Failure, TimeoutError):
                async with asyncio.timeout(_GIVING_BACK):
                    await lease.revoke()
            raise
        await asyncio.sleep(_PAUSE)


@contextlib.asynccontextmanager
async def seen(etcd: client.Client, where: keys.Keys, names: set[str]) -> AsyncIterator[None]:
    """Have ``names`` be the nodes whose daemons run, until left."""
    looking = asyncio.create_task(_look(etcd, where, names), name="look who stands by")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait({looking})


async def _look(etcd: client.Client, where: keys.Keys, names: set[str]) -> None:
    prefix = leaderkeys.standbys(where.root)
    news = watching.follow(etcd, prefix, messages.end_of(prefix), bare=True)
    async for told in news:
        if isinstance(told, messages.Range):
            names.clear()
            names.update(_name(item, prefix) for item in told.items)
            continue
        for event in told.events:
            change = names.discard if event.is_deletion else names.add
            change(_name(event.item, prefix))


def _name(item: messages.Item, prefix: bytes) -> str:
    return item.key.removeprefix(prefix).decode(errors="replace")
