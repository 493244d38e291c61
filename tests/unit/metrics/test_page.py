import asyncio
import logging

import prometheus_client
import pytest
from prometheus_client import metrics_core

from lab import scraping
from pyganeti.base import errors
from pyganeti.metrics import page as pages


def _page(patience: float = 5.0) -> pages.Page:
    return pages.Page("testd", "1.2", patience=patience)


def _gauge(name: str, value: float) -> metrics_core.Metric:
    return metrics_core.GaugeMetricFamily(f"ganeti_testd_{name}", "Of a test.", value=value)


async def _read(page: pages.Page) -> scraping.Figures:
    return scraping.read((await page.text()).decode())


async def test_instruments_sources_and_the_process_are_on_the_page() -> None:
    page = _page()
    counter = prometheus_client.Counter("ganeti_testd_a", "A.", ["b"], registry=page.registry)
    counter.labels('odd "\n\\').inc(2)

    async def source() -> pages.Families:
        return [_gauge("c", 7)]

    page.add("c", source)
    found = await _read(page)
    assert found.value("ganeti_testd_a_total", b='odd "\n\\') == 2
    assert found.value("ganeti_testd_c") == 7
    assert found.value("ganeti_testd_info", version="1.2") == 1
    assert found.value("ganeti_testd_locked_memory_bytes") is not None
    assert (found.value("process_resident_memory_bytes") or 0) > 1e6
    assert not any(name.endswith("_created") for name in found.families)


@pytest.mark.parametrize("error", [errors.Unavailable("no"), OSError("no"), ZeroDivisionError()])
async def test_a_source_that_fails_is_left_out_and_said_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    page = _page()

    async def bad() -> pages.Families:
        raise error

    async def good() -> pages.Families:
        return [_gauge("good", 1)]

    page.add("bad", bad)
    page.add("good", good)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert (await _read(page)).value("ganeti_testd_good") == 1
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("some figures cannot be had source=bad ")


async def test_a_source_that_hangs_is_asked_once_and_holds_up_no_page_for_long() -> None:
    page = _page(patience=0.05)
    asked = 0
    gate = asyncio.Event()

    async def hanging() -> pages.Families:
        nonlocal asked
        asked += 1
        await gate.wait()
        return [_gauge("late", 1)]

    page.add("hanging", hanging)
    for _ in range(3):
        assert (await _read(page)).value("ganeti_testd_late") is None
    assert asked == 1
    gate.set()
    assert (await _read(page)).value("ganeti_testd_late") == 1
    await page.close()


async def test_many_who_ask_at_once_get_one_page() -> None:
    page = _page()
    asked = 0

    async def source() -> pages.Families:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return []

    page.add("source", source)
    texts = await asyncio.gather(*(page.text() for _ in range(20)))
    assert asked == 1
    assert len(set(texts)) == 1


async def test_a_source_that_was_taken_away_is_not_asked_and_another_of_its_name_is() -> None:
    page = _page()

    async def first() -> pages.Families:
        return [_gauge("first", 1)]

    async def second() -> pages.Families:
        return [_gauge("second", 1)]

    remove = page.add("reign", first)
    page.add("reign", second)
    remove()  # of the one before: nothing happens
    found = await _read(page)
    assert found.value("ganeti_testd_first") is None
    assert found.value("ganeti_testd_second") == 1


async def test_who_gives_up_does_not_keep_others_from_the_page() -> None:
    page = _page()
    gate = asyncio.Event()

    async def source() -> pages.Families:
        await gate.wait()
        return [_gauge("it", 1)]

    page.add("source", source)
    one, two = (asyncio.create_task(page.text()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    gate.set()
    assert b"ganeti_testd_it 1" in await two
