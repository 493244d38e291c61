"""The folders of transfers: their names, and what becomes of old ones."""

import os
import time
from pathlib import Path

import pytest

from pyganeti.base import errors, pidfile
from pyganeti.noded.transfers import places


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".x", "a" * 300, "a\nb"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.BadInput):
        places.folder_of(tmp_path, name)


async def test_only_what_is_old_and_does_not_run_is_swept(tmp_path: Path) -> None:
    old, new, running = (places.make(tmp_path / "place", "import-disk0") for _ in range(3))
    assert old.stat().st_mode & 0o777 == 0o700
    held = pidfile.PidFile(places.pid_file(running))
    held.acquire()
    try:
        for folder in (old, running):
            os.utime(folder, (0, time.time() - 2 * 24 * 3600))
        assert places.running(running) == os.getpid()
        places.sweep(tmp_path / "place", time.time())
        assert sorted(p.name for p in (tmp_path / "place").iterdir()) == sorted(
            [new.name, running.name]
        )
    finally:
        held.release()
    places.sweep(tmp_path / "nowhere", time.time())
