"""The leadership of whom etcd has given its leader's key, for as long as a lease lasts.

The keys are `wire.leaderkeys`. Who finds no leader puts ``leader``, with his lease, and raises
``epoch``, in one transaction: so no two ever lead with the same number, and each later one has a
higher. Every write of a leader compares the revision at which his key was made
(`Leased.condition`), so that whoever is deposed can change nothing, whatever he believes.

What he believes is shorter than what etcd grants (`clients.etcd.leases`). When the belief is over
and etcd says nothing, he is suspended: he changes nothing, and goes on if etcd answers in the end
and still has the lease.

In failure: a campaign whose answer was lost is looked up, by the number of the lease, before
anybody says how it went; and a lease that won nothing is revoked, so that nothing late can win
with it.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client, failures, leases, messages, watching
from pyganeti.masterd.election import leadership
from pyganeti.wire import epochs, leaderkeys

_LOG = log.get(__name__)

TTL: Final = 6
"""Seconds of a lease: a leader that dies without a word is missed for so long, and some more."""

_GLANCE: Final = 2.0
"""Seconds after which the leader's key is looked at though no change was heard of."""

_SELDOM: Final = 10.0
_COURTESY: Final = 3.0
"""Seconds that a successor has before the others."""

_SPREAD: Final = 0.2
_PAUSES: Final = (0.5, 3.0)
_LOOKING: Final = 2.0
_ASSURING: Final = 2.0


Record = leaderkeys.Record
leader_key = leaderkeys.leader
epoch_key = leaderkeys.epoch
successor_key = leaderkeys.successor
encode_epoch = leaderkeys.encode_epoch


def decode_epoch(item: messages.Item | None) -> int:
    """Return the epoch that the key says, 0 if it is not there; raises Damaged."""
    return 0 if item is None else leaderkeys.decode_epoch(item.value)


def decode_leader(item: messages.Item) -> Record:
    """Return who leads; raises Damaged."""
    return leaderkeys.decode_leader(item.value)


class Leased:
    """One leadership, from when it was won."""

    def __init__(
        self,
        etcd: client.Client,
        key: bytes,
        lease: leases.Lease,
        record: Record,
        revision: int,
        wall: Callable[[], float],
    ) -> None:
        self.record: Final = record
        self.lease: Final = lease
        self.revision: Final = revision
        """The one at which the leader's key was made: nobody else's has it."""
        self._etcd = etcd
        self._key = key
        self._wall = wall
        self._standing = leadership.Standing(leadership.State.LEADING, wall(), "by a lease of etcd")
        self._followers: list[leadership.Follower] = []
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def epoch(self) -> int:
        """The number of this leadership."""
        return self.record.epoch

    @property
    def standing(self) -> leadership.Standing:
        """How it stands now."""
        self.look()
        return self._standing

    @property
    def lease_left(self) -> float:
        """How many seconds it may be believed in without another renewal."""
        return self.lease.left

    @property
    def condition(self) -> messages.Created:
        """What every transaction of this leader has to demand."""
        return messages.Created(self._key, self.revision)

    @property
    def is_lost(self) -> bool:
        """Whether it is lost for good."""
        return self._lost.done()

    def check(self) -> None:
        """Raise NotLeading unless changes may be made now."""
        self.look()
        if self._standing.state is not leadership.State.LEADING:
            raise leadership.NotLeading(self._standing.words)

    async def assure(self) -> None:
        """Ask etcd for the lease; raises NotLeading if it has none, or does not say."""
        try:
            await self._etcd.renew(self.lease.number, patience=_ASSURING)
        except failures.Gone as error:
            self.lose("etcd says that its lease is over")
            raise leadership.NotLeading(self._standing.words) from error
        except errors.Failure as error:
            raise leadership.NotLeading(f"etcd does not confirm the lease: {error}") from error

    async def lost(self) -> str:
        """Wait until it is lost, or to be given up; return why."""
        return await asyncio.shield(self._over)

    def follow(self, follower: leadership.Follower) -> None:
        """Have somebody told when it stands differently."""
        self._followers.append(follower)

    def lose(self, why: str) -> None:
        """Take note that it is lost; the first reason counts."""
        if not self._lost.done():
            self._lost.set_result(why)
            self.resign(why)
            self._stand(leadership.State.DEPOSED, f"this node leads the cluster no more: {why}")

    def resign(self, why: str) -> None:
        """Have it be given up in order by whoever waits for its loss."""
        if not self._over.done():
            self._over.set_result(why)

    def has(self, item: messages.Item | None) -> bool:
        """Say whether a leader's key is this one's."""
        return item is not None and item.lease == self.lease.number

    def look(self) -> None:
        """Take note of how the lease is."""
        if self.is_lost:
            return
        if self.lease.is_over:
            self.lose("its lease is over")
        elif self.lease.is_held:
            self._stand(leadership.State.LEADING, "by a lease of etcd")
        else:
            self._stand(
                leadership.State.SUSPENDED,
                "etcd has not renewed this node's lease, so that another may lead: nothing is"
                " changed until etcd answers",
            )

    def _stand(self, state: leadership.State, words: str) -> None:
        if state is self._standing.state:
            return
        self._standing = leadership.Standing(state, self._wall(), words)
        say = _LOG.info if state is leadership.State.LEADING else _LOG.warning
        say("the leadership stands differently", state=state.value, epoch=self.epoch, why=words)
        for follower in self._followers:
            follower(self._standing)


class Election:
    """Who leads, as etcd says it, and the way to become that; `watch` it in a task."""

    def __init__(
        self,
        etcd: client.Client,
        prefix: str,
        name: str,
        address: str,
        *,
        seconds: int = TTL,
        allowed: Callable[[], Awaitable[None]] | None = None,
        clock: leases.Clock = leases.since_boot,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Make one for the node ``name``, whose node daemon others reach at ``address``.

        ``allowed`` raises a Failure if it may not lead for now, or Gone if never.
        """
        self._allowed = allowed
        self._etcd = etcd
        self._prefix = prefix.encode()
        self._name = name
        self._address = address
        self._seconds = seconds
        self._clock = clock
        self._wall = wall
        self._own: Leased | None = None
        self._item: messages.Item | None = None
        self._vacant = asyncio.Event()
        self._followers: list[Callable[[], None]] = []
        self._successor = ""
        self.is_heard_of = False
        """Whether etcd has said, once at least, who leads."""
        self.leader: Record | None = None
        """Who leads, as etcd said it last; may be this node."""

    def follow(self, follower: Callable[[], None]) -> None:
        """Have somebody told when another leads."""
        self._followers.append(follower)

    async def watch(self) -> None:
        """Take note of who leads, and who is to lead next, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_leader())
            tasks.create_task(self._watch_successor())

    async def _watch_leader(self) -> None:
        key = leader_key(self._prefix)
        async with contextlib.aclosing(watching.value(self._etcd, key, glance=_GLANCE)) as news:
            async for item in news:
                if self._own is None or self._own.has(item):
                    self._take_note(item)
                else:
                    await self._look_again(key)

    async def _watch_successor(self) -> None:
        key = successor_key(self._prefix)
        news = watching.value(self._etcd, key, glance=_SELDOM)
        async with contextlib.aclosing(news) as told:
            async for item in told:
                self._successor = "" if item is None else item.value.decode(errors="replace")
                own = self._own
                if own is not None and self._successor not in {"", self._name}:
                    own.resign(f"{self._successor} is to lead")

    async def won(self) -> Leased:
        """Wait until nobody leads, and take the place; return the leadership.

        It is not looked after yet: see `held`. Raises Gone if there is nothing to lead any more.
        """
        pause = _PAUSES[0]
        while True:
            await self._vacant.wait()
            await asyncio.sleep(random.uniform(0, _SPREAD))
            if self._successor not in {"", self._name}:
                await asyncio.sleep(_COURTESY)
            try:
                if self._allowed is not None:
                    await self._allowed()
                won = await self._campaign()
            except leadership.Gone:
                raise
            except errors.Failure as error:
                _LOG.warning("whether this node leads is not known, so it does not", why=str(error))
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, _PAUSES[1])
                continue
            if won is not None:
                self._own = won
                _LOG.info("this node leads the cluster", epoch=won.epoch)
                return won
            await asyncio.sleep(_PAUSES[0] * random.uniform(0.2, 1.0))

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[Leased]:
        """Win, and keep the lease until left; then give the place up, at once if etcd answers."""
        leading = await self.won()
        keeping = asyncio.create_task(leading.lease.keep(leading.look), name="keep the lease")
        try:
            yield leading
        finally:
            self._own = None
            keeping.cancel()
            await asyncio.wait({keeping})
            leading.lose("it was given up")
            await self._revoke(leading.lease)

    async def _look_again(self, key: bytes) -> None:
        """Take note of who leads: what was heard may be from before this node won."""
        while True:
            try:
                item = await self._etcd.get(key, patience=_LOOKING)
            except errors.Failure:
                await asyncio.sleep(_PAUSES[0])
                continue
            self._take_note(item)
            return

    async def _campaign(self) -> Leased | None:
        """Try to take the place once; return None if another has it."""
        lease = leases.Lease(self._etcd, self._seconds, clock=self._clock)
        won: Leased | None = None
        try:
            await lease.grant()
            before = await self._etcd.get(epoch_key(self._prefix))
            number = decode_epoch(before) + 1
            epochs.of(number, self._name)
            record = Record(
                name=self._name, address=self._address, epoch=number, since=self._wall()
            )
            revision = await self._take(lease, record, before)
            if revision:
                won = Leased(
                    self._etcd, leader_key(self._prefix), lease, record, revision, self._wall
                )
            return won
        finally:
            if won is None:
                await self._revoke(lease)

    async def _take(self, lease: leases.Lease, record: Record, before: messages.Item | None) -> int:
        """Put the leader's key if it is not there; return the revision of ours, 0 if not ours."""
        key, number = leader_key(self._prefix), epoch_key(self._prefix)
        asked = messages.Transaction(
            conditions=(
                messages.is_missing(key),
                messages.Modified(number, 0 if before is None else before.modified),
            ),
            then=(
                messages.Put(key, msgspec.json.encode(record), lease.number),
                messages.Put(number, encode_epoch(record.epoch)),
            ),
            otherwise=(messages.Get(key),),
        )
        try:
            outcome = await self._etcd.transact(asked, patience=_LOOKING)
        except failures.Unanswered:
            item = await self._etcd.get(key)
        except failures.Gone:
            return 0
        else:
            if outcome.held:
                return outcome.revision
            item = outcome.found[0][0] if outcome.found[0] else None
        # Not held is what a transaction says, too, that is carried out for the second time.
        return item.created if item is not None and item.lease == lease.number else 0

    async def _revoke(self, lease: leases.Lease) -> None:
        try:
            async with asyncio.timeout(_LOOKING):
                await lease.revoke()
        except (errors.Failure, TimeoutError) as error:
            _LOG.warning(
                "a lease could not be given back, and ends by itself",
                seconds=self._seconds, why=str(error),
            )  # fmt: skip

    def _take_note(self, item: messages.Item | None) -> None:
        self.is_heard_of = True
        self._item = item
        self.leader = None
        if item is None:
            self._vacant.set()
        else:
            self._vacant.clear()
            try:
                self.leader = decode_leader(item)
            except errors.Damaged as error:
                _LOG.error("who leads cannot be understood", why=str(error))
        own = self._own
        if own is not None and not own.has(item):
            who = "nobody" if self.leader is None else self.leader.name
            own.lose(f"etcd says that {who} leads")
        for follower in self._followers:
            follower()
