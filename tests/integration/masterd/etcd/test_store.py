"""The configuration in etcd: whole or not at all, whatever its size, and only by who leads."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator

import pytest

from lab import configurations
from lab.etcd import backings
from pyganeti.base import errors
from pyganeti.clients.etcd import client, messages
from pyganeti.masterd.backing.etcd import store
from pyganeti.masterd.config import store as stores
from pyganeti.masterd.election import leadership
from pyganeti.model.config import entries

HELD = entries.from_snapshot(configurations.of(4))
KEY = "nodes/" + configurations.uuid(3, 1)


def head(serial_no: int) -> dict[str, bytes]:
    said = {"version": 3000000, "serial_no": serial_no, "ctime": 0, "mtime": 0}
    return {entries.HEAD: json.dumps(said).encode()}


@pytest.fixture
async def kept(led: backings.Led) -> AsyncIterator[store.EtcdStore]:
    made = led.store()
    await made.create(HELD)
    async with made.lease():
        yield made


async def held(led: backings.Led) -> dict[str, bytes]:
    return (await store.find(led.client, led.keys)).held


async def test_what_is_swapped_in_is_there_for_everybody(
    led: backings.Led, kept: store.EtcdStore
) -> None:
    found, version = await kept.read()
    assert found == HELD
    version = await kept.swap(version, {**head(2), KEY: b'{"new":1}'})
    assert (await held(led)) == {**HELD, **head(2), KEY: b'{"new":1}'}
    assert json.loads((await kept.copy()).data)["nodes"][configurations.uuid(3, 1)] == {"new": 1}
    await kept.swap(version, {**head(3), KEY: None})
    assert KEY not in await held(led)
    again, _ = await led.store().read()
    assert KEY not in again


async def test_a_stale_version_is_a_conflict(led: backings.Led, kept: store.EtcdStore) -> None:
    _, version = await kept.read()
    await kept.swap(version, head(2))
    with pytest.raises(stores.Conflict, match="changed since it was read"):
        await kept.swap(version, head(3))


async def test_who_leads_no_more_changes_nothing(led: backings.Led, kept: store.EtcdStore) -> None:
    _, version = await kept.read()
    other = await led.depose("node7")
    with pytest.raises(leadership.NotLeading, match="node7 does"):
        await kept.swap(version, head(2))
    assert await held(led) == HELD
    next_one = store.EtcdStore(led.client, led.keys, other)
    _, version = await next_one.read()
    await next_one.swap(version, head(2))
    await led.client.transact(messages.Transaction(then=[messages.Delete(led.keys.leader)]))
    with pytest.raises(leadership.NotLeading, match="nobody does"):
        await next_one.swap(version + 1, head(3))


async def test_a_large_change_is_made_in_parts_and_seen_as_one(
    led: backings.Led, kept: store.EtcdStore
) -> None:
    _, version = await kept.read()
    many: dict[str, bytes | None] = {f"nodes/{n}": b'{"n":%d}' % n for n in range(700)}
    version = await kept.swap(version, {**many, **head(2), KEY: None})
    wanted = {**HELD, **many, **head(2)}
    del wanted[KEY]
    assert await held(led) == wanted
    found = await led.client.range(led.keys.staged, messages.end_of(led.keys.staged))
    assert found.items == ()
    heavy: dict[str, bytes | None] = {
        f"disks/{n}": json.dumps("x" * 400_000).encode() for n in "abcdef"
    }
    await kept.swap(version, heavy)
    assert await held(led) == {**wanted, **heavy}


async def test_a_large_change_that_was_cut_off_is_all_or_nothing(
    led: backings.Led, kept: store.EtcdStore
) -> None:
    many: dict[str, bytes | None] = {f"nodes/{n}": b"{}" for n in range(300)}
    for step in range(1, 9):
        _, version = await kept.read()
        cut = _Cut(led.client, step)
        dying = store.EtcdStore(cut, led.keys, led.fence)
        _, version = await dying.read()
        cut.armed = True
        tag = {"clusters": None, f"disks/{step}": b"{}"}
        del tag["clusters"]
        with contextlib.suppress(asyncio.CancelledError, _Dead):
            await dying.swap(version, many | tag)
        found = await held(led)
        has_all = all(name in found for name in (*many, *tag))
        has_none = not any(name in found for name in tag)
        assert has_all or has_none, f"half of a change was there after step {step}"
        again, version = await kept.read()
        assert again == found
        found_raw = await led.client.range(led.keys.staged, messages.end_of(led.keys.staged))
        assert found_raw.items == ()
        await kept.swap(version, dict.fromkeys(name for name in (*many, *tag) if name in found))


class _Dead(Exception):
    pass


class _Cut(client.Client):
    """A client whose process dies before its n-th transaction."""

    def __init__(self, of: client.Client, step: int) -> None:
        super().__init__(of.access)
        self._of = of
        self._left = step
        self.armed = False

    async def range(self, key: bytes, end: bytes, **more: object) -> messages.Range:
        return await self._of.range(key, end)

    async def transact(
        self, asked: messages.Transaction, *, patience: float = client.PATIENCE
    ) -> messages.Outcome:
        if self.armed:
            self._left -= 1
            if self._left <= 0:
                raise _Dead
        return await self._of.transact(asked, patience=patience)


async def test_others_writing_is_noticed_and_our_own_is_not(
    led: backings.Led, kept: store.EtcdStore
) -> None:
    lost: list[str] = []
    right = dataclasses.replace(led.fence, lose=lost.append)
    kept = backings.Led(led.client, led.keys, right).store()
    _, version = await kept.read()
    seen: list[int] = []
    noticed = asyncio.Event()

    async def watch() -> None:
        async for number in kept.watch():
            seen.append(number)
            noticed.set()

    watching = asyncio.create_task(watch())
    try:
        await asyncio.sleep(0.05)
        for number in range(2, 20):
            version = await kept.swap(version, head(number))
        assert seen == []
        key = led.keys.entry(KEY)
        await led.client.transact(messages.Transaction(then=[messages.Put(key, b'{"theirs":1}')]))
        async with asyncio.timeout(10):
            await noticed.wait()
        assert seen == [version]
        assert "somebody else wrote" in lost[0]
    finally:
        watching.cancel()
        await asyncio.wait({watching})
    with pytest.raises(stores.Conflict, match="somebody else wrote"):
        await kept.swap(version, {KEY: b'{"ours":1}'})
    assert (await held(led))[KEY] == b'{"theirs":1}'
    _, version = await kept.read()
    await kept.swap(version, {KEY: b'{"ours":1}'})


async def test_another_link_breaks_the_chain(led: backings.Led, kept: store.EtcdStore) -> None:
    _, version = await kept.read()
    twin = led.store()
    _, other = await twin.read()
    await twin.swap(other, head(2))
    with pytest.raises(stores.Conflict, match="somebody else wrote"):
        await kept.swap(version, head(3))


async def test_nothing_there_is_said(led: backings.Led) -> None:
    with pytest.raises(errors.Unavailable, match="no configuration in etcd below"):
        await led.store().read()


async def test_a_cluster_is_not_made_where_one_is(led: backings.Led, kept: store.EtcdStore) -> None:
    with pytest.raises(errors.BadInput, match="a cluster in etcd already"):
        await led.store().create(HELD)


async def test_what_is_too_long_for_a_value_is_refused(
    led: backings.Led, kept: store.EtcdStore
) -> None:
    _, version = await kept.read()
    with pytest.raises(errors.Exhausted, match="more than a value in etcd may have"):
        await kept.swap(version, {KEY: b" " * (1 << 21)})
    assert await held(led) == HELD
