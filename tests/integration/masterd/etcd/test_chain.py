"""Whatever becomes of questions and answers on their way, a change is made once or not at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from lab.etcd import backings, etcds, proxies
from pyganeti.base import errors
from pyganeti.clients.etcd import client, messages
from pyganeti.masterd.backing.etcd import chain
from pyganeti.masterd.config import store
from pyganeti.masterd.election import leadership

ATTEMPT = 0.15


class Ground:
    """A chain whose questions go over a line that can be hurt, and a way to look beside it."""

    def __init__(
        self, line: proxies.Line, hurt: backings.Led, whole: backings.Led, made: chain.Chain
    ) -> None:
        self.line = line
        self.hurt = hurt
        self.whole = whole
        self.chain = made
        self.key = whole.keys.root + b"thing"

    async def value(self) -> bytes | None:
        found = await self.whole.client.get(self.key)
        return None if found is None else found.value

    async def reaches(self, value: bytes) -> None:
        async with asyncio.timeout(10):
            while await self.value() != value:  # noqa: ASYNC110 - it is looked for in etcd
                await asyncio.sleep(0.01)

    async def put(self, value: bytes, *, patience: float = 0.5) -> messages.Outcome:
        before = await self.value()
        undo: messages.Operation = (
            messages.Delete(self.key) if before is None else messages.Put(self.key, before)
        )
        return await self.chain.commit(
            [messages.Put(self.key, value)], undo=[undo], patience=patience
        )


@pytest.fixture
async def ground(etcd: etcds.Etcd) -> AsyncIterator[Ground]:
    prefix = backings.fresh_prefix()
    async with (
        proxies.line(etcd.member) as line,
        backings.led(etcd, prefix) as whole,
        backings.led(etcd, prefix, line.endpoint, attempt=ATTEMPT) as hurt,
    ):
        made = chain.Chain(hurt.client, hurt.keys.queue_now, hurt.fence, doubt_patience=0.4)
        made.adopt(None)
        yield Ground(line, hurt, whole, made)


async def test_an_answer_that_is_lost_is_asked_for_again(ground: Ground) -> None:
    await ground.put(b"one")
    ground.line.deafen()
    putting = asyncio.create_task(ground.put(b"two", patience=10))
    await ground.line.lost()
    await ground.reaches(b"two")
    assert not putting.done()
    revision = (await ground.whole.client.get(ground.key)).modified  # type: ignore[union-attr]
    ground.line.heal()
    outcome = await putting
    assert outcome.held
    found = await ground.whole.client.get(ground.key)
    assert found is not None
    assert (found.value, found.modified) == (b"two", revision), "it was done twice"
    await ground.put(b"three")
    assert await ground.value() == b"three"


async def test_what_took_effect_and_was_refused_is_undone(ground: Ground) -> None:
    await ground.put(b"one")
    ground.line.deafen()
    with pytest.raises(chain.Undecided, match="it is not known whether it was written"):
        await ground.put(b"two")
    assert await ground.value() == b"two"
    assert ground.chain.is_in_doubt
    ground.line.heal()
    minding = asyncio.create_task(ground.chain.mind())
    async with asyncio.timeout(10):
        while not ground.hurt.client.counts.undone:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    minding.cancel()
    assert await ground.value() == b"one"
    assert (ground.hurt.client.counts.undecided, ground.hurt.client.counts.undone) == (1, 1)
    await ground.put(b"three")
    assert await ground.value() == b"three"


async def test_what_comes_next_undoes_it_first(ground: Ground) -> None:
    ground.line.deafen()
    with pytest.raises(chain.Undecided):
        await ground.put(b"one")
    ground.line.heal()
    other = ground.whole.keys.root + b"other"
    await ground.chain.commit([messages.Put(other, b"x")], patience=5)
    assert await ground.value() is None
    assert not ground.chain.is_in_doubt


async def test_what_arrives_late_has_no_effect(ground: Ground) -> None:
    await ground.put(b"one")
    ground.line.hold()
    with pytest.raises(chain.Undecided):
        await ground.put(b"two")
    await ground.line.held()
    # The same one goes on by another line, which its held question knows nothing of.
    assert await ground.value() == b"one"
    moved = chain.Chain(ground.whole.client, ground.chain.key, ground.whole.fence)
    moved.adopt(await ground.whole.client.get(ground.chain.key))
    await moved.commit([messages.Put(ground.key, b"three")])
    await ground.line.release()
    assert ground.line.answers_lost, "it never arrived"
    assert await ground.value() == b"three"


async def test_an_undoing_that_is_not_answered_is_done_once(ground: Ground) -> None:
    await ground.put(b"one")
    ground.line.deafen()
    with pytest.raises(chain.Undecided):
        await ground.put(b"two")
    for _ in range(3):  # each of these finds out a step more, and loses the answer
        ground.line.heal()
        ground.line.deafen()
        with pytest.raises(errors.Unavailable):
            await ground.put(b"three", patience=0.3)
    ground.line.heal()
    await ground.put(b"four", patience=5)
    assert await ground.value() == b"four"
    assert ground.hurt.client.counts.undone <= 2


async def test_who_gives_up_waiting_leaves_nothing_undecided_for_long(ground: Ground) -> None:
    await ground.put(b"one")
    ground.line.deafen()
    putting = asyncio.create_task(ground.put(b"two", patience=10))
    await ground.line.lost()
    await ground.reaches(b"two")
    putting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await putting
    ground.line.heal()
    await ground.put(b"three", patience=5)
    assert await ground.value() == b"three"


async def test_conditions_that_do_not_hold_are_told_and_change_nothing(ground: Ground) -> None:
    await ground.put(b"one")
    outcome = await ground.chain.commit(
        [messages.Put(ground.key, b"two")],
        conditions=[messages.is_missing(ground.key)],
        looks=[messages.Get(ground.key)],
    )
    assert not outcome.held
    assert outcome.found[0][0].value == b"one"
    await ground.put(b"three")


async def test_what_was_asked_twice_and_refused_takes_no_effect_later(ground: Ground) -> None:
    class Twice(client.Client):
        """Asks twice, of which the first asking arrives when the test says so."""

        async def transact(
            self, asked: messages.Transaction, *, patience: float = client.PATIENCE
        ) -> messages.Outcome:
            kept.append(asked)
            outcome = await super().transact(asked, patience=patience)
            return messages.Outcome(outcome.held, outcome.revision, outcome.found, 2)

    kept: list[messages.Transaction] = []
    block, key = ground.whole.keys.root + b"block", ground.key
    deliver = ground.whole.client.transact
    async with Twice(ground.whole.client.access) as twice:
        made = chain.Chain(twice, ground.chain.key, ground.whole.fence)
        made.adopt(None)
        await deliver(messages.Transaction(then=[messages.Put(block, b"")]))
        outcome = await made.commit(
            [messages.Put(key, b"one")],
            conditions=[messages.is_missing(block)],
            undo=[messages.Delete(key)],
        )
        assert not outcome.held
        await deliver(messages.Transaction(then=[messages.Delete(block)]))
        await deliver(kept[0])
        assert await ground.value() == b"one", "it does not arrive as it should in this test"
        await made.commit([])
        assert await ground.value() is None


async def test_a_leader_that_was_deposed_meanwhile_is_told_so(ground: Ground) -> None:
    await ground.put(b"one")
    ground.line.deafen()
    with pytest.raises(chain.Undecided):
        await ground.put(b"two")
    await ground.whole.depose()
    ground.line.heal()
    for _ in range(2):
        with pytest.raises(leadership.NotLeading):
            await ground.put(b"three", patience=5)
    assert await ground.value() == b"two"


async def test_a_link_of_somebody_else_ends_the_chain(ground: Ground) -> None:
    await ground.put(b"one")
    link = messages.Put(ground.chain.key, b'{"by":"etcdctl"}')
    await ground.whole.client.transact(messages.Transaction(then=[link]))
    for _ in range(2):
        with pytest.raises(store.Conflict, match="somebody else wrote"):
            await ground.put(b"two")
    assert await ground.value() == b"one"
