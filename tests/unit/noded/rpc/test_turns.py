import asyncio

import pytest

from pyganeti.base import errors
from pyganeti.noded.rpc import turns


class _Work:
    """Acts on a thing until it is let go, and keeps the order of what happened."""

    def __init__(self) -> None:
        self.lines = turns.Turns()
        self.order: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def begin(self, label: str, key: str | None) -> asyncio.Task[None]:
        self.gates[label] = asyncio.Event()
        return asyncio.create_task(self._act(label, key))

    async def _act(self, label: str, key: str | None) -> None:
        async with self.lines.of(key):
            self.order.append(f"{label} begins")
            await self.gates[label].wait()
            self.order.append(f"{label} ends")


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_calls_on_one_thing_go_one_after_the_other_in_their_order() -> None:
    work = _Work()
    tasks = [work.begin(label, "web1") for label in "abc"]
    for gate in reversed(list(work.gates.values())):
        gate.set()
    await asyncio.gather(*tasks)
    assert work.order == [f"{x} {what}" for x in "abc" for what in ("begins", "ends")]


async def test_calls_on_different_things_and_on_none_go_at_once() -> None:
    work = _Work()
    tasks = [work.begin("a", "web1"), work.begin("b", "web2"), work.begin("c", None)]
    tasks.append(work.begin("d", None))
    await _settle()
    assert work.order == ["a begins", "b begins", "c begins", "d begins"]
    for gate in work.gates.values():
        gate.set()
    await asyncio.gather(*tasks)


async def test_one_that_gives_up_waiting_holds_up_nobody() -> None:
    work = _Work()
    tasks = [work.begin(label, "web1") for label in "abc"]
    await _settle()
    tasks[1].cancel()
    work.gates["a"].set()
    work.gates["c"].set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert work.order == ["a begins", "a ends", "c begins", "c ends"]


async def test_one_that_gives_up_as_its_turn_comes_passes_it_on() -> None:
    work = _Work()
    tasks = [work.begin(label, "web1") for label in "abc"]
    await _settle()
    work.gates["a"].set()
    work.gates["c"].set()
    while not tasks[0].done():
        await asyncio.sleep(0)
        if "a ends" in work.order:
            tasks[1].cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert "c ends" in work.order


async def test_one_that_fails_gives_its_turn_on() -> None:
    lines = turns.Turns()
    with pytest.raises(ZeroDivisionError):
        async with lines.of("web1"):
            raise ZeroDivisionError
    async with asyncio.timeout(5), lines.of("web1"):
        pass


async def test_a_line_that_grows_without_end_is_refused() -> None:
    work = _Work()
    tasks = [work.begin(str(n), "web1") for n in range(65)]
    await _settle()
    with pytest.raises(errors.Exhausted, match="64 calls wait for web1"):
        async with work.lines.of("web1"):
            pass
    for gate in work.gates.values():
        gate.set()
    await asyncio.gather(*tasks)
