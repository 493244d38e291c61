"""Locks as tasks use them, and as gnt-debug shows them."""

import asyncio

import pytest

from pyganeti.masterd.locks import levels, manager

NODE = levels.Level.NODE
INSTANCE = levels.Level.INSTANCE


async def test_one_after_the_other() -> None:
    locks = manager.Manager()
    inside: list[str] = []

    async def work(owner: str) -> None:
        async with await locks.acquire(owner, {NODE: levels.exclusive({"n"})}):
            inside.append(owner)
            assert len(inside) == 1
            await asyncio.sleep(0)
            inside.remove(owner)

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(work(str(number)))
    assert locks.describe() == []


async def test_who_is_cancelled_leaves_the_queue_and_lets_others_by() -> None:
    locks = manager.Manager()
    await locks.acquire("1", {INSTANCE: levels.exclusive({"a"})})
    blocked = asyncio.create_task(locks.acquire("2", {INSTANCE: levels.exclusive(levels.ALL)}))
    behind = asyncio.create_task(locks.acquire("3", {INSTANCE: levels.exclusive({"b"})}))
    await asyncio.sleep(0)
    assert not behind.done()
    blocked.cancel()
    await behind
    assert [row.owner for row in locks.describe()] == [["1"], ["3"]]


async def test_who_is_cancelled_in_the_moment_he_is_granted_gives_it_back() -> None:
    locks = manager.Manager()
    held = await locks.acquire("1", {NODE: levels.exclusive({"n"})})
    late = asyncio.create_task(locks.acquire("2", {NODE: levels.exclusive({"n"})}))
    await asyncio.sleep(0)
    held.release()  # 2 has it now, and does not know yet
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    assert locks.describe() == []


async def test_a_priority_that_changed_counts_when_it_is_asked_for() -> None:
    locks = manager.Manager()
    held = await locks.acquire("1", {NODE: levels.exclusive({"n"})})
    priorities = {"2": 0, "3": 0}
    got: list[str] = []

    async def want(owner: str) -> None:
        async with await locks.acquire(
            owner, {NODE: levels.exclusive({"n"})}, lambda: priorities[owner]
        ):
            got.append(owner)

    async with asyncio.TaskGroup() as tasks:
        for owner in priorities:
            tasks.create_task(want(owner))
        await asyncio.sleep(0)
        priorities["3"] = -5
        held.release()
    assert got == ["3", "2"]


async def test_reconsider_lets_in_whom_only_a_worse_priority_kept_out() -> None:
    locks = manager.Manager()
    await locks.acquire("1", {INSTANCE: levels.exclusive({"a"})})
    every = asyncio.create_task(locks.acquire("2", {INSTANCE: levels.exclusive(levels.ALL)}))
    priority = 0
    other = asyncio.create_task(
        locks.acquire("3", {INSTANCE: levels.exclusive({"b"})}, lambda: priority)
    )
    await asyncio.sleep(0)
    priority = -1
    locks.reconsider()
    await other
    every.cancel()


async def test_shown_are_names_modes_owners_and_who_waits_in_what_mode() -> None:
    locks = manager.Manager()
    one = await locks.acquire(
        "1",
        {
            levels.Level.CLUSTER: levels.shared({levels.BIG}),
            levels.Level.NODE_RES: levels.exclusive({"u2", "u1"}),
        },
    )
    async with await locks.acquire("2", {levels.Level.CLUSTER: levels.shared({levels.BIG})}):
        waiting = asyncio.create_task(
            locks.acquire(
                "3",
                {
                    levels.Level.NODE_RES: levels.shared(levels.ALL),
                    levels.Level.INSTANCE: levels.exclusive({"web1"}),
                },
            )
        )
        await asyncio.sleep(0)
        assert locks.describe() == [
            manager.Row("cluster/BGL", "shared", ["1", "2"], []),
            manager.Row("instance/web1", None, [], [("exclusive", ["3"])]),
            manager.Row("node-res/[lockset]", None, [], [("shared", ["3"])]),
            manager.Row("node-res/u1", "exclusive", ["1"], []),
            manager.Row("node-res/u2", "exclusive", ["1"], []),
        ]
    one.narrow({levels.Level.NODE_RES: levels.shared({"u1"})})
    (await waiting).release()
    one.release()
    one.release()
    assert locks.describe() == []
    with pytest.raises(ValueError, match="holds no locks"):
        one.narrow({})


async def test_who_wants_something_else_keeps_his_place_and_holds_nothing_meanwhile() -> None:
    locks = manager.Manager()
    first = await locks.acquire("1", {NODE: levels.exclusive({"n"})})
    holder = await locks.acquire("2", {NODE: levels.exclusive({"m"})})
    later = asyncio.create_task(locks.acquire("3", {NODE: levels.exclusive({"m", "n"})}))
    await asyncio.sleep(0)
    exchange = asyncio.create_task(first.exchange({NODE: levels.exclusive({"m"})}))
    await asyncio.sleep(0)
    assert [row.owner for row in locks.describe()] == [["2"], []]
    holder.release()
    await exchange
    assert not later.done()
    first.release()
    (await later).release()


async def test_who_is_cancelled_while_he_waits_for_something_else_has_nothing() -> None:
    locks = manager.Manager()
    holder = await locks.acquire("1", {NODE: levels.exclusive({"n"})})
    other = await locks.acquire("2", {NODE: levels.exclusive({"m"})})
    exchange = asyncio.create_task(other.exchange({NODE: levels.exclusive({"n"})}))
    await asyncio.sleep(0)
    exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange
    assert [row.owner for row in locks.describe()] == [["1"]]
    other.release()
    holder.release()
    assert locks.describe() == []
    with pytest.raises(ValueError, match="holds no locks"):
        await other.exchange({})
