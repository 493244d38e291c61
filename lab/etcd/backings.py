"""The stores that are kept in etcd, for one who leads: as `masterd.backing` wires them, and bare.

The leader's key is put without a lease: nothing that is tried here waits for a leader to die.
"""

import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.etcd import etcds
from pyganeti.clients.etcd import access, client, messages
from pyganeti.masterd.backing.etcd import fence as fences
from pyganeti.masterd.backing.etcd import keys, shelf, store
from pyganeti.masterd.election import leased

_PREFIXES = itertools.count(1)


def fresh_prefix() -> str:
    """Return where no cluster has been yet, in an etcd that only this process uses."""
    return f"/ganeti/laboratory-{next(_PREFIXES)}/"


@dataclass(frozen=True, slots=True)
class Led:
    """A cluster in etcd, and a client that leads it."""

    client: client.Client
    keys: keys.Keys
    fence: fences.Fence

    def store(self) -> store.EtcdStore:
        """Return its configuration."""
        return store.EtcdStore(self.client, self.keys, self.fence)

    def shelf(self, directory: Path) -> shelf.EtcdShelf:
        """Return its queue, with the archive in a directory."""
        return shelf.EtcdShelf(self.client, self.keys, self.fence, directory)

    async def depose(self, name: str = "node2") -> fences.Fence:
        """Have another lead; return what holds for that one."""
        return await depose(self.client, self.keys, name)


async def depose(speaking: client.Client, where: keys.Keys, name: str = "node2") -> fences.Fence:
    """Have another lead, whoever did before; return what holds for that one."""
    key = where.leader
    await speaking.transact(messages.Transaction(then=[messages.Delete(key)]))
    who = leased.Record(name=name, address="192.0.2.2", epoch=2, since=0.0)
    put = messages.Put(key, msgspec.json.encode(who))
    made = await speaking.transact(messages.Transaction(then=[put]))
    return fences.Fence(key, made.revision)


def access_of(etcd: etcds.Etcd, *endpoints: str) -> access.Access:
    """Return how an etcd is reached, or by other endpoints."""
    words = endpoints or etcd.endpoints
    shown = etcd.client
    if shown is None:
        return access.Access(endpoints=access.parse(words))
    return access.Access(
        endpoints=access.parse(words),
        authority=shown.authority,
        certificate=shown.certificate,
        key=shown.key,
    )


@contextlib.asynccontextmanager
async def unled(etcd: etcds.Etcd, prefix: str) -> AsyncIterator[Led]:
    """Write a cluster below a prefix for as long as nobody leads it."""
    where = keys.Keys(prefix)
    async with client.Client(access_of(etcd)) as speaking:
        yield Led(speaking, where, fences.Fence(where.leader))


@contextlib.asynccontextmanager
async def led(
    etcd: etcds.Etcd, prefix: str = "", *endpoints: str, attempt: float = 2.0
) -> AsyncIterator[Led]:
    """Lead a cluster below a prefix, a fresh one unless one is named."""
    where = keys.Keys(prefix or fresh_prefix())
    async with client.Client(access_of(etcd, *endpoints), attempt=attempt) as speaking:
        made = await speaking.transact(
            messages.Transaction(
                [messages.is_missing(where.leader)],
                [messages.Put(where.leader, b"node1")],
                [messages.Get(where.leader)],
            )
        )
        created = made.revision if made.held else made.found[0][0].created
        yield Led(speaking, where, fences.Fence(where.leader, created))
