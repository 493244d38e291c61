"""A queue in a directory of its own, and somebody who carries out what it has."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab import carriers, jobs
from pyganeti.masterd.jobs import queue


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return where the queue lies."""
    return tmp_path / "var/lib/ganeti/queue"


@pytest.fixture
def opened(place: Path, tmp_path: Path) -> jobs.Opening:
    """Return what opens the queue, as often as it is called: as a daemon that starts again."""

    @contextlib.asynccontextmanager
    async def open_it(**settings: Any) -> AsyncIterator[jobs.Opened]:
        carrier = carriers.Carrier()
        settings = {
            "livelock_dir": tmp_path / "livelocks",
            "reprioritized": carrier.locks.reconsider,
            "bounds": queue.Bounds(end_patience=0.2),
            **settings,
        }
        async with queue.Queue(place, carrier, **settings) as found:
            yield found, carrier

    return open_it
