"""One epoll for many descriptors: who is called, in what order, and what a failure costs."""

import asyncio
import functools
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from pyganeti.base import poller as pollers


@pytest.fixture
async def poller() -> AsyncIterator[pollers.Poller]:
    one = pollers.Poller(asyncio.get_running_loop())
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(100)]
    try:
        yield made
    finally:
        for pair in made:
            for end in pair:
                end.close()


Pairs = list[tuple[socket.socket, socket.socket]]


async def _until_quiet() -> None:
    """Let the loop turn a few times; each turn of it polls without waiting."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_ready_descriptor_is_called_with_its_events(
    poller: pollers.Poller, pairs: Pairs
) -> None:
    ours, theirs = pairs[0]
    called: asyncio.Queue[int] = asyncio.Queue()
    poller.add(ours.fileno(), select.EPOLLIN, called.put_nowait)
    theirs.send(b"x")
    assert await asyncio.wait_for(called.get(), 5) & select.EPOLLIN
    poller.modify(ours.fileno(), select.EPOLLOUT)
    while (mask := await asyncio.wait_for(called.get(), 5)) & select.EPOLLIN:
        pass
    assert mask & select.EPOLLOUT


async def test_a_removed_descriptor_is_not_called(poller: pollers.Poller, pairs: Pairs) -> None:
    ours, theirs = pairs[0]
    called: list[int] = []
    poller.add(ours.fileno(), select.EPOLLIN, called.append)
    theirs.send(b"x")
    poller.remove(ours.fileno())
    poller.remove(ours.fileno())
    await _until_quiet()
    assert called == []
    assert len(poller) == 0


async def test_a_callback_may_remove_the_others_of_its_turn(
    poller: pollers.Poller, pairs: Pairs
) -> None:
    called: list[int] = []

    def _first_wins(mask: int) -> None:
        called.append(mask)
        for ours, _ in pairs:
            poller.remove(ours.fileno())

    for ours, theirs in pairs:
        poller.add(ours.fileno(), select.EPOLLIN, _first_wins)
        theirs.send(b"x")
    await _until_quiet()
    assert len(called) == 1


async def test_a_callback_that_raises_loses_its_place_and_no_other(
    poller: pollers.Poller, pairs: Pairs
) -> None:
    called: set[int] = set()

    def _fail(_mask: int) -> None:
        raise RuntimeError("boom")

    def _note(index: int, _mask: int) -> None:
        called.add(index)
        pairs[index][0].recv(1)

    for index, (ours, theirs) in enumerate(pairs):
        if index % 2:
            poller.add(ours.fileno(), select.EPOLLIN, _fail)
        else:
            poller.add(ours.fileno(), select.EPOLLIN, functools.partial(_note, index))
        theirs.send(b"x")
    async with asyncio.timeout(10):  # fifty tracebacks take more than one turn's time
        while len(called) < 50 or len(poller) > 50:  # noqa: ASYNC110 - callbacks tell nobody
            await asyncio.sleep(0)
    assert called == set(range(0, 100, 2))
    assert len(poller) == 50
    assert os.fstat(pairs[1][0].fileno())


async def test_a_slow_turn_ends_early_and_nobody_is_left_out(
    poller: pollers.Poller, pairs: Pairs
) -> None:
    calls = [0] * 100
    loop_turns = 0
    while_waiting: list[int] = []

    def _busy(index: int, _mask: int) -> None:
        calls[index] += 1
        until = time.monotonic() + 0.001
        while time.monotonic() < until:
            pass
        while_waiting.append(loop_turns)

    for index, (ours, theirs) in enumerate(pairs):
        poller.add(ours.fileno(), select.EPOLLIN, functools.partial(_busy, index))
        theirs.send(b"x")
    while sum(calls) < 300:
        await asyncio.sleep(0)
        loop_turns += 1
    assert max(calls) - min(calls) <= 2
    at_once = max(while_waiting.count(turn) for turn in range(loop_turns + 1))
    assert at_once < 10


async def test_closing_forgets_all_and_closes_nothing_of_others(
    poller: pollers.Poller, pairs: Pairs
) -> None:
    called: list[int] = []
    for ours, theirs in pairs:
        poller.add(ours.fileno(), select.EPOLLIN, called.append)
        theirs.send(b"x")
    poller.close()
    poller.close()
    await _until_quiet()
    assert called == []
    assert all(ours.recv(1) == b"x" for ours, _ in pairs)
    poller.remove(pairs[0][0].fileno())


async def test_what_cannot_be_watched_is_an_error_and_leaves_no_trace(
    poller: pollers.Poller,
) -> None:
    regular = os.open("/proc/self/exe", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="not permitted"):
            poller.add(regular, select.EPOLLIN, lambda _mask: None)
    finally:
        os.close(regular)
    assert len(poller) == 0
