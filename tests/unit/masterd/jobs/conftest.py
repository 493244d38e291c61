"""A queue in a directory of its own, and somebody who carries out what it has.

A test that does not look at the directory itself is tried on a queue in etcd as well: what holds of
the one holds of the other.
"""

import contextlib
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab import carriers, jobs
from lab.etcd import backings
from pyganeti.masterd.jobs import queue


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try on both kinds what knows of neither."""
    if "kind" in metafunc.fixturenames:
        asked = inspect.signature(metafunc.function).parameters
        looks_at_files = not asked.keys().isdisjoint({"place", "small_disk"})
        metafunc.parametrize("kind", ["files"] if looks_at_files else ["files", "etcd"])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return where the queue lies."""
    return tmp_path / "var/lib/ganeti/queue"


@pytest.fixture
def opened(place: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> jobs.Opening:
    """Return what opens the queue, as often as it is called: as a daemon that starts again."""
    prefix = backings.fresh_prefix()

    @contextlib.asynccontextmanager
    async def open_it(**settings: Any) -> AsyncIterator[jobs.Opened]:
        carrier = carriers.Carrier()
        settings = {
            "livelock_dir": tmp_path / "livelocks",
            "reprioritized": carrier.locks.reconsider,
            "bounds": queue.Bounds(end_patience=0.2),
            **settings,
        }
        async with contextlib.AsyncExitStack() as stack:
            if kind == "files":
                found = queue.Queue(place, carrier, **settings)
            else:
                etcd = request.getfixturevalue("etcd")
                led = await stack.enter_async_context(backings.led(etcd, prefix))
                found = queue.Queue(led.shelf(place), carrier, **settings)
            yield await stack.enter_async_context(found), carrier

    return open_it
