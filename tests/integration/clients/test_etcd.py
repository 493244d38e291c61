"""The client against real members: one that answers is found, and what nobody knows is said."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trustme

from lab.etcd import backings, etcds, proxies
from pyganeti.base import errors
from pyganeti.clients.etcd import (
    access,
    client,
    compacting,
    failures,
    leases,
    messages,
    watching,
)

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def etcd() -> Iterator[etcds.Etcd]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here() as running:
        yield running


@pytest.fixture
def key() -> bytes:
    return backings.fresh_prefix().encode()


@pytest.fixture
async def asking(etcd: etcds.Etcd) -> AsyncIterator[client.Client]:
    async with client.Client(backings.access_of(etcd)) as made:
        yield made


async def put(asking: client.Client, key: bytes, value: bytes = b"x", lease: int = 0) -> int:
    made = await asking.transact(messages.Transaction(then=[messages.Put(key, value, lease)]))
    return made.revision


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - of anything
            await asyncio.sleep(0.01)


async def test_a_transaction_holds_or_tells_what_there_was(
    asking: client.Client, key: bytes
) -> None:
    asked = messages.Transaction(
        [messages.is_missing(key)], [messages.Put(key, b"1")], [messages.Get(key)]
    )
    first, second = await asking.transact(asked), await asking.transact(asked)
    assert (first.held, second.held) == (True, False)
    [[item]] = second.found
    assert (item.value, item.created, item.modified) == (b"1", first.revision, first.revision)
    gone = messages.Transaction([messages.exists(key)], [messages.Delete(key)])
    assert (await asking.transact(gone)).held
    assert not (await asking.transact(gone)).held
    assert await asking.get(key) is None


async def test_a_long_range_is_read_as_it_was_at_one_moment(
    asking: client.Client, key: bytes
) -> None:
    for start in range(0, 1300, 100):
        await asking.transact(
            messages.Transaction(
                then=[messages.Put(key + b"%04d" % n, b"v") for n in range(start, start + 100)]
            )
        )
    found = await asking.range(key, messages.end_of(key))
    assert [item.key for item in found.items] == [key + b"%04d" % n for n in range(1300)]
    bare = await asking.range(key, messages.end_of(key), bare=True)
    assert {item.value for item in bare.items} == {b""}


async def test_the_member_that_answers_is_found_and_kept(etcd: etcds.Etcd, key: bytes) -> None:
    chosen = backings.access_of(etcd, NOBODY, NOBODY.replace("9", "10"), *etcd.endpoints)
    async with client.Client(chosen) as asking:
        await put(asking, key)
        assert str(asking.endpoint) == etcd.endpoints[0]
        assert asking.counts.changes_of_member == 2
        await put(asking, key)
        assert asking.counts.changes_of_member == 2


async def test_where_nobody_answers_that_is_said_in_time(key: bytes) -> None:
    async with client.Client(access.Access(endpoints=access.parse([NOBODY]))) as asking:
        began = time.monotonic()
        with pytest.raises(failures.Unanswered, match=r"not answered within 0\.3 s; http.*:9"):
            await asking.get(key, patience=0.3)
        assert time.monotonic() - began < 2
        assert asking.counts.unanswered == 1


async def test_a_refusal_after_a_lost_answer_is_no_refusal(etcd: etcds.Etcd, key: bytes) -> None:
    """It may have been done the first time, whatever is said the second time."""
    async with (
        proxies.line(etcd.member) as line,
        client.Client(backings.access_of(etcd, line.endpoint), attempt=0.2) as asking,
    ):
        await put(asking, key)
        too_many = messages.Transaction(
            then=[messages.Put(key + b"%d" % n, b"") for n in range(200)]
        )
        with pytest.raises(errors.BadInput, match="too many operations"):
            await asking.transact(too_many)
        line.deafen()
        asked = asyncio.create_task(asking.transact(too_many))
        await line.lost()
        line.heal()
        with pytest.raises(failures.Unanswered):
            await asked


async def test_who_has_no_certificate_is_not_answered() -> None:
    with etcds.here(tls=True) as etcd:
        async with client.Client(backings.access_of(etcd)) as asking:
            await put(asking, b"/a")
        bare = access.Access(
            endpoints=access.parse(etcd.endpoints),
            authority=etcd.client.authority if etcd.client else None,
        )
        async with client.Client(bare) as asking:
            with pytest.raises(failures.Unanswered):
                await asking.get(b"/a", patience=0.5)
        missing = access.Access(
            endpoints=access.parse(etcd.endpoints), authority=Path("/nonexistent/ca.pem")
        )
        async with client.Client(missing) as asking:
            with pytest.raises(errors.Unavailable, match=r"/nonexistent/ca\.pem.*No such file"):
                await asking.get(b"/a", patience=0.5)


async def test_certificates_that_are_renewed_are_shown_without_a_restart(tmp_path: Path) -> None:
    foreign = trustme.CA().issue_cert("client.example.com")
    with etcds.here(tls=True) as etcd:
        assert etcd.client is not None
        certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
        certificate.write_bytes(foreign.cert_chain_pems[0].bytes())
        key.write_bytes(foreign.private_key_pem.bytes())
        chosen = access.Access(
            endpoints=access.parse(etcd.endpoints),
            authority=etcd.client.authority,
            certificate=certificate,
            key=key,
        )
        async with client.Client(chosen, renewal=0.3) as asking:
            with pytest.raises(failures.Unanswered):
                await asking.get(b"/a", patience=0.2)
            certificate.write_bytes(etcd.client.certificate.read_bytes())
            key.write_bytes(etcd.client.key.read_bytes())
            assert await asking.get(b"/a", patience=15) is None


async def test_a_member_says_how_it_is(etcd: etcds.Etcd, asking: client.Client) -> None:
    [endpoint] = asking.access.endpoints
    found = await asking.member(endpoint)
    assert (found.leads, found.has_leader, found.alarms) == (True, True, ())
    assert found.version.startswith("3.")
    etcd.member.kill()
    with pytest.raises(failures.Unanswered):
        await asking.member(endpoint, patience=0.5)
    etcd.start()


class TestLeases:
    async def test_what_goes_with_a_lease_goes_with_it(
        self, asking: client.Client, key: bytes
    ) -> None:
        lease = leases.Lease(asking, 10)
        assert not lease.is_held
        await lease.grant()
        await lease.grant()  # asked twice is once
        assert 0 < lease.left <= 8
        await put(asking, key, lease=lease.number)
        assert await asking.remaining(lease.number) > 5
        await lease.revoke()
        assert not lease.is_held
        assert await asking.get(key) is None
        assert await asking.remaining(lease.number) == 0
        await asking.revoke(lease.number)  # gone is gone
        with pytest.raises(failures.Gone):
            await asking.renew(lease.number)

    async def test_it_is_kept_and_its_end_is_noticed(
        self, asking: client.Client, key: bytes
    ) -> None:
        lease = leases.Lease(asking, 1)
        await lease.grant()
        told: list[bool] = []
        keeping = asyncio.create_task(lease.keep(lambda: told.append(lease.is_held)))
        await asyncio.sleep(1.5)
        assert lease.is_held
        assert told == []
        await asking.revoke(lease.number)
        async with asyncio.timeout(5):
            await keeping
        assert lease.is_over
        assert told == [False]

    async def test_who_does_not_hear_of_etcd_stops_believing_first(
        self, etcd: etcds.Etcd, asking: client.Client, key: bytes
    ) -> None:
        """And believes again if it still has the lease when it hears of it."""
        async with (
            proxies.line(etcd.member) as line,
            client.Client(backings.access_of(etcd, line.endpoint), attempt=0.2) as far,
        ):
            lease = leases.Lease(far, 2)
            await lease.grant()
            await put(asking, key, lease=lease.number)
            changed: list[bool] = []
            keeping = asyncio.create_task(lease.keep(lambda: changed.append(lease.is_held)))
            line.deafen()  # etcd hears of us, and goes on believing
            await until(lambda: not lease.is_held)
            assert await asking.get(key) is not None
            line.heal()
            await until(lambda: lease.is_held)
            assert changed == [False, True]
            line.cut()
            while lease.left:
                assert await asking.get(key) is not None, "it was gone and still believed in"
                await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                while await asking.get(key) is not None:  # noqa: ASYNC110 - it is in etcd
                    await asyncio.sleep(0.02)
            line.heal()
            async with asyncio.timeout(5):
                await keeping
            assert lease.is_over

    async def test_time_that_the_process_stood_still_counts(self, asking: client.Client) -> None:
        now = 1000.0
        lease = leases.Lease(asking, 10, clock=lambda: now)
        await lease.grant()
        assert lease.left == 8
        now += 7.9
        assert lease.is_held
        now += 0.1
        assert not lease.is_held


class TestWatching:
    async def test_it_goes_on_past_lost_lines_and_a_forgotten_past(
        self, etcd: etcds.Etcd, asking: client.Client, key: bytes
    ) -> None:
        async with (
            proxies.line(etcd.member) as line,
            client.Client(backings.access_of(etcd, line.endpoint), attempt=0.2) as far,
        ):
            seen: list[bytes] = []
            told = asyncio.Event()

            async def follow() -> None:
                async for found in watching.follow(
                    far, key, messages.end_of(key), pauses=(0.02, 0.1)
                ):
                    items = (
                        found.items
                        if isinstance(found, messages.Range)
                        else [event.item for event in found.events]
                    )
                    seen.extend(item.key.removeprefix(key) for item in items)
                    told.set()

            async def sees(name: bytes) -> None:
                async with asyncio.timeout(10):
                    while name not in seen:
                        told.clear()
                        await told.wait()

            await put(asking, key + b"before")
            following = asyncio.create_task(follow())
            await sees(b"before")
            await put(asking, key + b"meanwhile")
            await sees(b"meanwhile")
            line.cut()
            await put(asking, key + b"unseen")
            await asyncio.to_thread(etcd.compact)
            line.heal()
            await sees(b"unseen")
            await asyncio.to_thread(etcd.restart)
            await put(asking, key + b"after")
            await sees(b"after")
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def test_one_key_is_told_whenever_it_is_another(
        self, asking: client.Client, key: bytes
    ) -> None:
        values = watching.value(asking, key, glance=5)
        try:
            async with asyncio.timeout(10):
                assert await anext(values) is None
                await put(asking, key, b"1")
                first = await anext(values)
                assert first is not None
                assert first.value == b"1"
                await asking.transact(messages.Transaction(then=[messages.Delete(key)]))
                assert await anext(values) is None
        finally:
            await values.aclose()

    async def test_a_silent_line_costs_a_glance_and_no_more(
        self, etcd: etcds.Etcd, asking: client.Client, key: bytes
    ) -> None:
        async with (
            proxies.line(etcd.member) as line,
            client.Client(
                backings.access_of(etcd, line.endpoint, *etcd.endpoints), attempt=0.2
            ) as far,
        ):
            values = watching.value(far, key, glance=0.5)
            try:
                assert await anext(values) is None
                line.deafen()
                await put(asking, key, b"1")
                began = time.monotonic()
                found = await anext(values)
                assert found is not None
                assert time.monotonic() - began < 3
            finally:
                await values.aclose()


async def test_what_is_past_is_forgotten_round_by_round(asking: client.Client, key: bytes) -> None:
    first = await put(asking, key)
    forgetting = asyncio.create_task(compacting.forget(asking, key, interval=0.05))
    try:
        async with asyncio.timeout(10):
            while True:
                await put(asking, key)
                news = asking.watch(key, b"", first)
                try:
                    await anext(news)
                    await anext(news)
                except failures.Compacted:
                    break
                finally:
                    await news.aclose()  # type: ignore[attr-defined]
    finally:
        forgetting.cancel()
