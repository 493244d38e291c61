"""One etcd for all these tests, in which each has a cluster of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from lab.etcd import backings, etcds


@pytest.fixture(scope="session")
def etcd() -> Iterator[etcds.Etcd]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here(quota=64 << 20) as running:
        yield running


@pytest.fixture
async def led(etcd: etcds.Etcd) -> AsyncIterator[backings.Led]:
    async with backings.led(etcd) as made:
        yield made
