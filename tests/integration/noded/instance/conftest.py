import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from lab import hosts

_GOLDEN = Path(__file__).parents[3] / "golden/rpc/instance_start.json"


@pytest_asyncio.fixture
async def host() -> AsyncIterator[hosts.Host]:
    async with hosts.host(json.loads(_GOLDEN.read_text())[0][0]) as made:
        yield made
