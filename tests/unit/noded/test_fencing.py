"""Who is let through to a node that has promised, or heard, who the master is."""

import asyncio
import contextlib
import resource
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.clients import promises
from pyganeti.noded import app, calls, fencing
from pyganeti.wire import epochs

HERE = "node1"
FIRST, SECOND = epochs.of(3, HERE), epochs.of(4, "node2")


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    made = paths.Paths(tmp_path, HERE)
    made.state_dir.mkdir(parents=True)
    return made


def let_through(fence: fencing.Fence, call: str, said: epochs.Epoch | None) -> bool:
    with contextlib.suppress(promises.Outranked, errors.Denied), fence.passed(call, said):
        return True
    return False


def test_every_call_that_is_named_is_one() -> None:
    known = calls.KNOWN | calls.Table(app.FAMILIES).names
    assert known >= fencing.LOOKING


async def test_a_node_that_has_promised_nothing_obeys_who_calls_as_nobody(
    layout: paths.Paths,
) -> None:
    fence = fencing.Fence(layout, HERE)
    assert let_through(fence, "instance_shutdown", None)
    assert fence.known is None


async def test_one_that_has_lets_others_look_and_change_nothing(layout: paths.Paths) -> None:
    fence = fencing.Fence(layout, HERE)
    await fence.promise(SECOND)
    for said in (FIRST, epochs.of(4, HERE), None):
        assert not let_through(fence, "instance_shutdown", said)
        assert not let_through(fence, "jobqueue_update", said)
        assert let_through(fence, "master_node_name", said)
        assert let_through(fence, "master_standing", said)
        assert let_through(fence, "node_info", said) == (said is None)
    assert let_through(fence, "instance_shutdown", SECOND)
    with pytest.raises(promises.Outranked, match="node2") as raised, fence.passed("version", FIRST):
        pass
    assert raised.value.known == SECOND


async def test_a_node_that_is_not_the_master_may_always_be_told_to_be_none(
    layout: paths.Paths,
) -> None:
    fence = fencing.Fence(layout, HERE)
    await fence.promise(SECOND)
    for call in ("node_deactivate_master_ip", "node_stop_master"):
        assert let_through(fence, call, FIRST)
        assert let_through(fence, call, None)
    await fence.promise(epochs.of(5, HERE))
    for call in ("node_deactivate_master_ip", "node_stop_master"):
        assert not let_through(fence, call, SECOND)
        assert not let_through(fence, call, None)


async def test_a_later_master_is_heard_and_remembered(layout: paths.Paths) -> None:
    fence = fencing.Fence(layout, HERE)
    told: list[epochs.Epoch | None] = []
    fence.on_other = lambda: told.append(fence.known)
    assert await fence.hear(None) is None
    assert await fence.hear(str(FIRST)) == FIRST
    assert await fence.hear(str(SECOND)) == SECOND
    assert await fence.hear(str(FIRST)) == FIRST
    assert told == [SECOND]
    again = fencing.Fence(layout, HERE)
    assert again.known == SECOND
    assert again.is_other
    with pytest.raises(errors.BadInput):
        await fence.hear("soon")


async def test_nothing_is_promised_to_an_earlier_master(layout: paths.Paths) -> None:
    fence = fencing.Fence(layout, HERE)
    await fence.promise(FIRST)
    await fence.promise(FIRST)
    await fence.promise(SECOND)
    with pytest.raises(promises.Outranked):
        await fence.promise(FIRST)
    with pytest.raises(promises.Outranked):
        await promises.give(layout, FIRST)
    assert fence.known == SECOND


async def test_a_promise_waits_for_what_an_earlier_master_is_writing(layout: paths.Paths) -> None:
    fence = fencing.Fence(layout, HERE)
    await fence.promise(FIRST)
    with fence.passed("jobqueue_update", FIRST), fence.passed("instance_os_add", FIRST):
        promising = asyncio.create_task(fence.promise(SECOND))
        async with asyncio.timeout(5):
            while fence.known != SECOND:  # noqa: ASYNC110 - a file wakes nobody
                await asyncio.sleep(0.01)
        assert not promising.done()
        assert not let_through(fence, "jobqueue_update", FIRST)
    async with asyncio.timeout(5):
        await promising


async def test_a_disk_that_takes_nothing_promises_nothing_and_hears_the_master(
    layout: paths.Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = fencing.Fence(layout, HERE)
    await fence.promise(FIRST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(errors.Unavailable, match="nothing is promised"):
            await fence.promise(SECOND)
        assert fence.known == FIRST
        assert await fence.hear(str(SECOND)) == SECOND
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not let_through(fence, "instance_shutdown", FIRST)
    assert let_through(fence, "instance_shutdown", SECOND)
    assert promises.read(layout.epoch_file).known == FIRST
    monkeypatch.setattr(fencing, "_RETRY", 0.0)
    await fence.hear(str(SECOND))
    assert promises.read(layout.epoch_file).known == SECOND


async def test_damage_gives_no_promise_until_a_master_has_called(layout: paths.Paths) -> None:
    layout.epoch_file.write_bytes(b"\0" * 100)
    fence = fencing.Fence(layout, HERE)
    assert let_through(fence, "node_info", None)
    assert not let_through(fence, "instance_shutdown", None)
    with pytest.raises(errors.Damaged, match="removed"):
        await fence.promise(SECOND)
    await fence.hear(str(FIRST))
    assert let_through(fence, "instance_shutdown", FIRST)
    await fence.promise(SECOND)


async def test_without_the_file_a_node_follows_anybody_again(layout: paths.Paths) -> None:
    fence = fencing.Fence(layout, HERE)
    await fence.promise(SECOND)
    layout.epoch_file.unlink()
    assert let_through(fence, "instance_shutdown", None)
    await fence.promise(FIRST)
