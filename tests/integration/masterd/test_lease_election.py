"""Who leads is decided by a real etcd: one at a time, each later one with a higher number."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from lab.etcd import etcds
from pyganeti.base import errors
from pyganeti.clients.etcd import access, client, failures, messages
from pyganeti.masterd.election import leadership, leased

TTL = 2
_PREFIXES = itertools.count(1)


@pytest.fixture(scope="module")
def etcd() -> Iterator[etcds.Etcd]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here() as running:
        yield running


@pytest.fixture
def prefix() -> str:
    return f"/ganeti/{next(_PREFIXES)}/"


@contextlib.asynccontextmanager
async def standing(
    etcd: etcds.Etcd, prefix: str, name: str, kind: type[client.Client] = client.Client
) -> AsyncIterator[tuple[leased.Election, client.Client]]:
    """Have a candidate look who leads."""
    chosen = access.Access(endpoints=access.parse(etcd.endpoints))
    async with kind(chosen) as speaking:
        election = leased.Election(speaking, prefix, name, "192.0.2.1", seconds=TTL)
        watching = asyncio.create_task(election.watch())
        try:
            yield election, speaking
        finally:
            watching.cancel()
            await asyncio.wait({watching})


async def until(holds: Callable[[], bool], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.02)


async def test_one_leads_at_a_time_and_the_next_one_as_soon_as_he_resigns(
    etcd: etcds.Etcd, prefix: str
) -> None:
    async with (
        standing(etcd, prefix, "node1.example.com") as (one, _),
        standing(etcd, prefix, "node2.example.com") as (two, speaking),
    ):
        async with one.held() as first:
            first.check()
            assert first.epoch == 1
            waiting = asyncio.create_task(two.won())
            await until(lambda: two.leader is not None, "the second to hear of the first")
            assert two.leader is not None
            assert (two.leader.name, two.leader.epoch) == ("node1.example.com", 1)
            assert not waiting.done()
        loop = asyncio.get_running_loop()
        resigned = loop.time()
        second = await waiting
        assert loop.time() - resigned < 1.5
        assert second.epoch == 2
        assert second.revision > first.revision
        assert await first.lost() == "it was given up"
        with pytest.raises(leadership.NotLeading):
            first.check()
        await second.lease.revoke()
        deed = messages.Transaction(
            (first.condition,), (messages.Put(prefix.encode() + b"deed", b""),)
        )
        assert not (await speaking.transact(deed)).held


async def test_one_that_dies_without_a_word_is_followed_when_his_lease_ends(
    etcd: etcds.Etcd, prefix: str
) -> None:
    async with standing(etcd, prefix, "node1.example.com") as (one, _):
        dead = await one.won()  # and nobody keeps the lease
        async with standing(etcd, prefix, "node2.example.com") as (two, _):
            begun = asyncio.get_running_loop().time()
            next_one = await two.won()
            assert asyncio.get_running_loop().time() - begun < TTL + 3
            assert next_one.epoch == dead.epoch + 1
            assert not dead.lease.is_held
            with pytest.raises(leadership.NotLeading):
                dead.check()
            assert "leads" in await dead.lost()
            assert dead.standing.state is leadership.State.DEPOSED
            await next_one.lease.revoke()


async def test_a_leader_whom_etcd_does_not_answer_is_suspended_and_goes_on(
    etcd: etcds.Etcd, prefix: str
) -> None:
    async with standing(etcd, prefix, "node1.example.com") as (one, _), one.held() as leading:
        seen: list[leadership.State] = []
        leading.follow(lambda stands: seen.append(stands.state))
        await asyncio.to_thread(etcd.kill)
        try:
            await until(lambda: bool(seen), "the leader to be suspended")
            assert seen == [leadership.State.SUSPENDED]
            with pytest.raises(leadership.NotLeading, match="until etcd answers"):
                leading.check()
            with pytest.raises(leadership.NotLeading):
                await leading.assure()
            assert not leading.is_lost
        finally:
            await asyncio.to_thread(etcd.start)
        # Leases begin anew with another leader among etcd's members.
        await until(lambda: len(seen) > 1, "the leader to go on")
        assert seen == [leadership.State.SUSPENDED, leadership.State.LEADING]
        leading.check()
        await leading.assure()


class Deaf(client.Client):
    """Its transactions are carried out, and it does not hear of it."""

    async def transact(
        self, asked: messages.Transaction, *, patience: float = client.PATIENCE
    ) -> messages.Outcome:
        await super().transact(asked, patience=patience)
        raise failures.Unanswered("cut off")


class Twice(client.Client):
    """Its transactions are carried out twice, and it hears of the second time."""

    async def transact(
        self, asked: messages.Transaction, *, patience: float = client.PATIENCE
    ) -> messages.Outcome:
        await super().transact(asked, patience=patience)
        return await super().transact(asked, patience=patience)


@pytest.mark.parametrize("kind", [Deaf, Twice])
async def test_who_does_not_hear_how_his_campaign_went_finds_out(
    etcd: etcds.Etcd, prefix: str, kind: type[client.Client]
) -> None:
    async with standing(etcd, prefix, "node1.example.com", kind) as (one, speaking):
        async with one.held() as leading:
            leading.check()
            item = await speaking.get(leased.leader_key(prefix.encode()))
            assert item is not None
            assert (item.created, item.lease) == (leading.revision, leading.lease.number)
        assert await speaking.get(leased.leader_key(prefix.encode())) is None


async def test_a_leader_whose_key_is_taken_away_by_hand_leads_no_more(
    etcd: etcds.Etcd, prefix: str
) -> None:
    async with (
        standing(etcd, prefix, "node1.example.com") as (one, speaking),
        one.held() as leading,
    ):
        key = leased.leader_key(prefix.encode())
        await speaking.transact(messages.Transaction(then=(messages.Delete(key),)))
        async with asyncio.timeout(10):
            assert "nobody leads" in await leading.lost()


async def test_an_epoch_that_is_none_lets_nobody_lead(etcd: etcds.Etcd, prefix: str) -> None:
    async with standing(etcd, prefix, "node1.example.com") as (one, speaking):
        key = leased.epoch_key(prefix.encode())
        garbage = messages.Transaction(then=(messages.Put(key, b"{"),))
        await speaking.transact(garbage)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await one.won()
        with pytest.raises(errors.Damaged):
            leased.decode_epoch(await speaking.get(key))
        raised = messages.Transaction(then=(messages.Put(key, leased.encode_epoch(41)),))
        await speaking.transact(raised)
        async with one.held() as leading:
            assert leading.epoch == 42
