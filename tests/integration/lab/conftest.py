"""A node of real qemus for each test, gone after it."""

from collections.abc import Iterator

import pytest

from lab import qemus


@pytest.fixture
def node() -> Iterator[qemus.Qemus]:
    with qemus.Qemus(limit=60) as node:
        yield node
