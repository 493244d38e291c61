"""A client of the simulated etcd, which is asked as the real one is: again and again, in its time.

What the network does to a question decides whether it is carried out once, twice or not at all,
and whether anybody hears of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from lab.takeover import etcd as simulated
from lab.takeover import world
from pyganeti.clients.etcd import access, client, failures, messages

T = TypeVar("T")

_ATTEMPT: Final = 2.0
_PAUSE: Final = 0.1
_SILENCE: Final = 8.0
"""Seconds after which a watch whose line is dead is known to be lost."""


class Client(client.Client):
    """One process's client."""

    def __init__(self, process: world.Process, etcd: simulated.Etcd) -> None:
        super().__init__(access.Access(endpoints=access.parse(["http://etcd"])))
        self._process = process
        self._etcd = etcd

    async def transact(
        self, asked: messages.Transaction, *, patience: float = client.PATIENCE
    ) -> messages.Outcome:
        """Carry a transaction out, maybe more than once."""
        self.counts.transactions += 1
        name = self._process.ident
        return await self._asked(lambda: self._etcd.transact(asked, name), patience)

    async def get(self, key: bytes, *, patience: float = client.PATIENCE) -> messages.Item | None:
        """Return one key as it is now."""
        found = await self._asked(lambda: self._etcd.range(key, b""), patience)
        return found.items[0] if found.items else None

    async def range(
        self, key: bytes, end: bytes, *, bare: bool = False, patience: float = 30.0
    ) -> messages.Range:
        """Return all from a key up to ``end``."""
        return await self._asked(lambda: self._etcd.range(key, end, bare=bare), patience)

    async def compact(self, revision: int) -> None:
        """Have etcd forget what was before a revision."""
        await self._asked(lambda: self._etcd.compact(revision), client.PATIENCE)

    async def grant(self, lease: int, seconds: int, *, patience: float = client.PATIENCE) -> None:
        """Have there be a lease."""
        name = self._process.ident
        await self._asked(lambda: self._etcd.grant(lease, seconds, name), patience)

    async def renew(self, lease: int, *, patience: float = client.PATIENCE) -> float:
        """Have a lease begin anew."""
        return await self._asked(lambda: self._etcd.renew(lease), patience)

    async def revoke(self, lease: int, *, patience: float = client.PATIENCE) -> None:
        """End a lease."""
        await self._asked(lambda: self._etcd.revoke(lease), patience)

    async def remaining(self, lease: int, *, patience: float = client.PATIENCE) -> float:
        """Return how many seconds a lease still lasts."""
        return await self._asked(lambda: self._etcd.remaining(lease), patience)

    async def watch(
        self, key: bytes, end: bytes, since: int, *, only_deletions: bool = False
    ) -> AsyncIterator[messages.News]:
        """Yield what happens from a revision on."""
        news: asyncio.Queue[messages.News | None] = asyncio.Queue()
        process, around = self._process, self._process.world

        def tell(heard: messages.News | None) -> None:
            if process.is_alive and (simulated.NAME, process.name) not in around.cut:
                around.at(0.001, lambda: _hand(process, news, heard))

        watcher = simulated.Watcher(key, end, tell)
        await self._asked(lambda: self._etcd.watch(watcher, since), _ATTEMPT)
        try:
            while True:
                try:
                    async with asyncio.timeout(_SILENCE):
                        heard = await news.get()
                except TimeoutError:
                    if (simulated.NAME, process.name) in around.cut:
                        raise failures.Unanswered("the line is dead") from None
                    continue
                if heard is None:
                    raise failures.Unanswered("the member went away")
                events = tuple(e for e in heard.events if e.is_deletion or not only_deletions)
                yield messages.News(events, heard.revision)
        finally:
            self._etcd.forget(watcher)

    async def _asked(self, act: Callable[[], T], patience: float) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        self.counts.calls += 1
        while (left := deadline - loop.time()) > 0:
            answer = self._process.world.ask(self._process, simulated.NAME, act)
            try:
                async with asyncio.timeout(min(left, _ATTEMPT)):
                    return await answer
            except TimeoutError:
                continue
            except failures.Unanswered:
                await asyncio.sleep(_PAUSE)
        self.counts.unanswered += 1
        raise failures.Unanswered(f"etcd has not answered within {patience:g} s")


def _hand(
    process: world.Process,
    news: "asyncio.Queue[messages.News | None]",
    heard: messages.News | None,
) -> None:
    process.loop.call_soon(news.put_nowait, heard)
