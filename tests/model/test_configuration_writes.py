"""Whoever was told yes is in the store, whoever was told no is not, however writes fail.

The store is one in memory that keeps to the interface as a remote one would: it takes its time, and
fails when it is told to. So this is also the proof that nothing but the interface is needed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import configurations
from pyganeti.base import errors
from pyganeti.masterd.config import draft as drafts
from pyganeti.masterd.config import state, store
from pyganeti.model.config import entries

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
    told: dict[int, bool] = {}

    async def change(number: int, instance: int) -> None:
        def edit(draft: drafts.Draft) -> None:
            held = draft.snapshot.instance(f"inst{instance}")
            draft.put(replace(held, tags=(*held.tags, str(number))))

        try:
            await config.change(edit)
        except errors.Exhausted:
            told[number] = False
        else:
            told[number] = True
            held = config.current.instance(f"inst{instance}")
            assert str(number) in held.tags, "it returned before it was durable"

    async with state.opened(kept) as config:
        async with asyncio.TaskGroup() as tasks:
            for number, (turns, instance) in enumerate(changes):
                for _ in range(turns):
                    await asyncio.sleep(0)
                tasks.create_task(change(number, instance))
        stored = entries.to_snapshot(kept.held)
        assert stored == config.current
        tags = [tag for held in stored.instances.values() for tag in held.tags[1:]]
        assert sorted(map(int, tags)) == sorted(number for number, yes in told.items() if yes)
        for held in stored.instances.values():
            assert list(held.tags[1:]) == sorted(held.tags[1:], key=int), "out of order"
            assert held.serial_no == len(held.tags), "a number was raised for what never came to be"
        assert stored.serial_no == 1 + sum(told.values())
        assert len(told) == len(changes)
        assert kept.writes <= len(changes)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=6),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=20),
)
def test_told_yes_is_stored_and_told_no_never_was(
    fates: list[tuple[int, bool]], changes: list[tuple[int, int]]
) -> None:
    asyncio.run(_run(fates, changes))


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
