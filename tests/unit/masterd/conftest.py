"""What is kept in files or in etcd is tried in both."""

from collections.abc import Iterator

import pytest

from lab.etcd import etcds


@pytest.fixture(scope="session")
def etcd() -> Iterator[etcds.Etcd]:
    """Run an etcd, in which each test has a cluster of its own."""
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here() as running:
        yield running
