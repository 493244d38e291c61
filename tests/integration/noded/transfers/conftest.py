"""A node daemon with disks, dumps and scripts to move data between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import nodedaemons, transfers


@pytest.fixture
def mover(short_dir: Path) -> Iterator[transfers.Mover]:
    """Run a node daemon whose certificate bears the name that Ganeti's exports look for."""
    cluster = nodedaemons.cluster("ganeti.example.com")
    with nodedaemons.Noded(short_dir, of=cluster) as noded:
        made = transfers.Mover(noded, transfers.recorded_instance())
        yield made
        left = made.processes()
        for name in made.transfers.iterdir() if made.transfers.exists() else ():
            noded.call("impexp_cleanup", name.name)
        made.wait(lambda: not made.processes(), f"the end of {left}")
