"""kill -9 at any instant: what was accepted is there, runs once, and keeps its number."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_between_any_two_steps_to_the_disk_loses_and_repeats_nothing(part: int) -> None:
    """Each step is a crash of its own, before and after every call that writes."""
    # in memory: a kill loses nothing that is in the page cache, so the disk's speed is for nothing
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/dev/shm") as place:
        ran = subprocess.run(
            [sys.executable, "-m", "lab.dyingqueue", str(Path(place) / "q"), f"{part}", f"{PARTS}"],
            capture_output=True,
            text=True,
            timeout=55,
            check=False,
        )
    said = ran.stdout.split("\n")
    assert said[-2:] == ["lived", ""], f"{said[-2:]}, after {ran.stderr[-2000:]}"
    assert said.count("ok") == len(said) - 2 > 30, "too few steps were seen for all that is written"
