"""What the tests of base share: a disk that is full in truth, and conditions to wait for."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_PATIENCE = 20.0


class Disk:
    """A tiny file system; `fill` leaves no room in it, `free` makes some again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Write until there is no room left."""
        with (self.path / "ballast").open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                return

    def free(self) -> None:
        """Remove what `fill` wrote."""
        (self.path / "ballast").unlink()


@pytest.fixture
def small_disk(short_dir: Path) -> Iterator[Disk]:
    """Mount a file system of 32 KiB and some twenty files, and unmount it."""
    path = short_dir / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32k,nr_inodes=20", "pyganeti-test", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"may not mount a tmpfs: {mounted.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Return what waits for a condition, and fails the test if it never comes."""

    def wait(condition: Callable[[], object]) -> None:
        ends = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < ends, "what was waited for did not come"
            time.sleep(0.002)

    return wait
