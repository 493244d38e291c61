"""Having this node lead a cluster that is kept in etcd: in place of one that leads, or of nobody.

Nobody votes: etcd says who leads. This node's master daemon has to stand by; it is started if it
does not run. The one that leads is asked to give its place up, and the others to hold back.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from pyganeti.base import daemons, errors, paths, ssconf
from pyganeti.cli.bootstrap import starting, storing
from pyganeti.clients.etcd import client, messages, reaching
from pyganeti.wire import leaderkeys, storefile

_ASKED: Final = 20
"""Seconds for which this node is asked for."""

_PATIENCE: Final = 40.0
_PAUSE: Final = 0.1

Tell = Callable[[str], None]


def take_over(layout: paths.Paths, say: Tell) -> None:
    """Have this node lead; raises a Failure if it does not in the end."""
    name = layout.hostname
    candidates = (ssconf.read(layout, "master_candidates") or "").split()
    if name not in candidates:
        raise errors.BadInput(
            f"{name} is no master candidate; these are: {', '.join(candidates)}", "wrong_state"
        )
    kept = storefile.decode(layout.store_file.read_bytes())
    if daemons.running(layout, storing.MASTERD) is None:
        say(f"starting {storing.MASTERD} here")
        starting.start(layout, storing.MASTERD)
    asyncio.run(_take_over(layout, kept, name, say))


async def _take_over(layout: paths.Paths, kept: storefile.Etcd, name: str, say: Tell) -> None:
    prefix = kept.prefix.encode()
    async with client.Client(reaching.access_of(kept, layout)) as etcd:
        before = await _leader(etcd, prefix)
        if before is not None and before.name == name:
            raise errors.BadInput(f"{name} leads the cluster already")
        if before is None:
            say("nobody leads the cluster now")
        else:
            say(f"asking {before.name} to give its place up")
        lease = secrets.randbits(62) + 1
        await etcd.grant(lease, _ASKED)
        put = messages.Put(leaderkeys.successor(prefix), name.encode(), lease)
        await etcd.transact(messages.Transaction(then=(put,)))
        try:
            await _wait(etcd, prefix, name)
        finally:
            await etcd.revoke(lease)


async def _wait(etcd: client.Client, prefix: bytes, name: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE
    while True:
        leader = await _leader(etcd, prefix)
        if leader is not None and leader.name == name:
            return
        if loop.time() > deadline:
            who = "nobody leads" if leader is None else f"{leader.name} leads"
            raise errors.Unavailable(f"{who} after {_PATIENCE:g} s; the logs say more")
        await asyncio.sleep(_PAUSE)


async def _leader(etcd: client.Client, prefix: bytes) -> leaderkeys.Record | None:
    item = await etcd.get(leaderkeys.leader(prefix))
    return None if item is None else leaderkeys.decode_leader(item.value)
