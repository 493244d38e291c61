"""A node daemon for each test, that ends with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import nodedaemons


@pytest.fixture
def noded(short_dir: Path) -> Iterator[nodedaemons.Noded]:
    """Run a node daemon with its cluster's certificates, and end it."""
    with nodedaemons.Noded(short_dir) as running:
        yield running
