"""Whoever was told yes is in the store, whoever was told no is not, however writes fail.

The store is one in memory that keeps to the interface as a remote one would: it takes its time, and
fails when it is told to. So this is also the proof that nothing but the interface is needed. And it
is the one in etcd, whose questions and answers get lost, or arrive late.
"""

import asyncio
import contextlib
import enum
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import configurations
from lab.etcd import backings, etcds
from pyganeti.base import errors
from pyganeti.clients.etcd import access, client, failures, messages
from pyganeti.masterd.backing.etcd import keys
from pyganeti.masterd.backing.etcd import store as etcdstore
from pyganeti.masterd.config import draft as drafts
from pyganeti.masterd.config import state, store
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot

replace = msgspec.structs.replace


class _Held:
    async def lost(self) -> None:
        await asyncio.get_running_loop().create_future()


class _MemoryStore:
    """Entries in memory; each write takes some turns of the loop, and fails if it is its fate."""

    def __init__(self, held: Mapping[str, bytes], fates: list[tuple[int, bool]]) -> None:
        self.held = dict(held)
        self.version = 7
        self.writes = 0
        self._fates = fates

    async def read(self) -> tuple[dict[str, bytes], int]:
        return dict(self.held), self.version

    async def swap(self, expected: int, changes: Mapping[str, bytes | None]) -> int:
        if expected != self.version:
            raise store.Conflict("somebody else wrote")
        turns, fails = self._fates[self.writes % len(self._fates)] if self._fates else (0, False)
        self.writes += 1
        for _ in range(turns):
            await asyncio.sleep(0)
        if fails:
            raise errors.Exhausted("no room")
        for key, piece in changes.items():
            if piece is None:
                del self.held[key]
            else:
                self.held[key] = piece
        self.version += 1
        return self.version

    async def watch(self) -> AsyncIterator[int]:
        await asyncio.get_running_loop().create_future()
        yield 0

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[store.Lease]:
        yield _Held()


async def _run(fates: list[tuple[int, bool]], changes: list[tuple[int, int]]) -> None:
    """Make changes, each some turns after the one before: a tag for one of three instances."""
    kept = _MemoryStore(entries.from_snapshot(configurations.of(3, 1)), fates)
    async with state.opened(kept) as config:
        told = await _change(config, changes)
        _check(entries.to_snapshot(kept.held), config, told)
        assert kept.writes <= len(changes)


async def _change(config: state.Config, changes: list[tuple[int, int]]) -> dict[int, bool]:
    """Make changes; return what was told of each."""
    told: dict[int, bool] = {}

    async def change(number: int, instance: int) -> None:
        def edit(draft: drafts.Draft) -> None:
            held = draft.snapshot.instance(f"inst{instance}")
            draft.put(replace(held, tags=(*held.tags, str(number))))

        try:
            await config.change(edit)
        except errors.Failure:
            told[number] = False
        else:
            told[number] = True
            held = config.current.instance(f"inst{instance}")
            assert str(number) in held.tags, "it returned before it was durable"

    async with asyncio.TaskGroup() as tasks:
        for number, (turns, instance) in enumerate(changes):
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks.create_task(change(number, instance))
    assert len(told) == len(changes)
    return told


def _check(stored: Snapshot, config: state.Config, told: dict[int, bool]) -> None:
    """Compare what is stored with what was told."""
    assert stored == config.current
    tags = [tag for held in stored.instances.values() for tag in held.tags[1:]]
    assert sorted(map(int, tags)) == sorted(number for number, yes in told.items() if yes)
    for held in stored.instances.values():
        assert list(held.tags[1:]) == sorted(held.tags[1:], key=int), "out of order"
        assert held.serial_no == len(held.tags), "a number was raised for what never came to be"
    assert stored.serial_no == 1 + sum(told.values())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=6),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=20),
)
def test_told_yes_is_stored_and_told_no_never_was(
    fates: list[tuple[int, bool]], changes: list[tuple[int, int]]
) -> None:
    asyncio.run(_run(fates, changes))


class _Fate(enum.Enum):
    """What becomes of a transaction on its way."""

    WELL = enum.auto()
    REFUSED = enum.auto()
    NEVER_ASKED = enum.auto()
    NEVER_ANSWERED = enum.auto()
    LATE = enum.auto()
    """It arrives when it was given up and the next one is on its way, before that."""
    LATER = enum.auto()
    """Behind that."""


class _Line(client.Client):
    """A client of etcd whose transactions have fates."""

    def __init__(self, chosen: access.Access, fates: list[_Fate]) -> None:
        super().__init__(chosen)
        self.fates = fates
        self._turns = itertools.count()
        self._late: list[messages.Transaction] = []
        self._later: list[messages.Transaction] = []

    async def transact(
        self, asked: messages.Transaction, *, patience: float = client.PATIENCE
    ) -> messages.Outcome:
        turn = next(self._turns)
        fate = self.fates[turn] if turn < len(self.fates) else _Fate.WELL
        await self._deliver(self._late)
        later, self._later = self._later, []
        if fate is _Fate.LATE:
            self._late.append(asked)
        elif fate is _Fate.LATER:
            self._later.append(asked)
        outcome = None
        if fate in {_Fate.WELL, _Fate.NEVER_ANSWERED}:
            outcome = await super().transact(asked)
        await self._deliver(later)
        if fate is _Fate.REFUSED:
            raise errors.Exhausted("no room")
        if outcome is None or fate is _Fate.NEVER_ANSWERED:
            raise failures.Unanswered("no answer")
        return outcome

    async def _deliver(self, held: list[messages.Transaction]) -> None:
        while held:
            await super().transact(held.pop())


async def _run_in_etcd(
    etcd: etcds.Etcd, fates: list[_Fate], changes: list[tuple[int, int]]
) -> None:
    chosen = backings.access_of(etcd)
    where = keys.Keys(backings.fresh_prefix())
    async with _Line(chosen, []) as line:
        right = await backings.depose(line, where)
        kept = etcdstore.EtcdStore(line, where, right)
        await kept.create(entries.from_snapshot(configurations.of(3, 1)))
        line.fates = [_Fate.WELL] * 3 + fates
        async with state.opened(kept) as config:
            told = await _change(config, changes)
            line.fates = []
            await kept.chain.commit([])
            stored = (await etcdstore.find(line, where)).held
            _check(entries.to_snapshot(stored), config, told)


@pytest.fixture(scope="module")
def etcd() -> Iterator[etcds.Etcd]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here() as running:
        yield running


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.sampled_from(_Fate), max_size=8),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=12),
)
def test_told_no_is_undone_in_etcd_whatever_becomes_of_the_answer(
    etcd: etcds.Etcd, fates: list[_Fate], changes: list[tuple[int, int]]
) -> None:
    asyncio.run(_run_in_etcd(etcd, fates, changes))


async def test_a_store_that_somebody_else_writes_refuses() -> None:
    kept = _MemoryStore(entries.from_snapshot(configurations.of(1, 1)), [])
    async with state.opened(kept) as config:
        kept.version += 1
        for _ in range(2):
            try:
                await config.change(drafts.Draft.allocate_port)
            except store.Conflict:
                continue
            raise AssertionError("it was written over")
        assert config.current.serial_no == 1
