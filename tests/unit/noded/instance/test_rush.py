"""When guests may run while others' qemus come up."""

import asyncio
import contextlib

import pytest

from pyganeti.noded.instance import rush


async def test_with_a_processor_for_each_start_nobody_waits() -> None:
    starts = rush.Rush(2, patience=60)
    with starts.coming_up(), starts.coming_up():
        async with asyncio.timeout(10):
            await starts.calm()


async def test_with_more_starts_than_processors_guests_wait_for_the_last_qemu() -> None:
    starts = rush.Rush(1, patience=60)
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(starts.coming_up())
        second.enter_context(starts.coming_up())
        waiting = asyncio.create_task(starts.calm())
        await asyncio.sleep(0)
        first.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
    async with asyncio.timeout(10):
        await waiting
    with starts.coming_up():
        async with asyncio.timeout(10):
            await starts.calm()  # what has been is over


async def test_a_guest_waits_for_so_long_and_no_longer() -> None:
    starts = rush.Rush(0, patience=0.01)
    with starts.coming_up():
        async with asyncio.timeout(10):
            await starts.calm()


async def test_a_start_that_fails_is_waited_for_no_more() -> None:
    starts = rush.Rush(0, patience=60)
    with pytest.raises(RuntimeError), starts.coming_up():
        raise RuntimeError
    async with asyncio.timeout(10):
        await starts.calm()
