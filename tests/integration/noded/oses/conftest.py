"""A node daemon with disks for the OS `image` to fill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import nodedaemons, transfers


@pytest.fixture
def mover(short_dir: Path) -> Iterator[transfers.Mover]:
    """Run a node daemon that has no OS of its own site's, and an instance with ``image``."""
    with nodedaemons.Noded(short_dir) as noded:
        made = transfers.Mover(noded, transfers.recorded_instance())
        made.instance["os"] = "image"
        yield made
