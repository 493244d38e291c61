"""A service on the test's own loop."""

import gc
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab import oneloop


@pytest.fixture
async def kvmd(short_dir: Path) -> AsyncIterator[oneloop.Kvmd]:
    interval = sys.getswitchinterval()
    found = oneloop.Kvmd(short_dir)
    yield found
    await found.close()
    sys.setswitchinterval(interval)
    gc.unfreeze()
