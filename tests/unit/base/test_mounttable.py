"""The watch on the mount table gives back what it takes; real mounts are in tests/integration."""

import asyncio
from pathlib import Path

import pytest

from pyganeti.base import mounttable


def _open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


async def test_without_the_table_it_raises_and_keeps_nothing(tmp_path: Path) -> None:
    before = _open_descriptors()
    (tmp_path / "file").touch()
    loop = asyncio.get_running_loop()
    for path in (tmp_path / "nowhere", tmp_path / "file"):  # an ordinary file cannot be polled
        with pytest.raises(OSError, match=r"No such file|not permitted"):
            mounttable.MountTable(loop, lambda: None, path=str(path))
    assert _open_descriptors() == before


async def test_a_closed_one_keeps_no_descriptor() -> None:
    before = _open_descriptors()
    table = mounttable.MountTable(asyncio.get_running_loop(), lambda: None)
    table.close()
    table.close()
    assert _open_descriptors() == before


async def test_while_nothing_is_mounted_the_loop_is_not_woken() -> None:
    calls: list[None] = []
    table = mounttable.MountTable(asyncio.get_running_loop(), lambda: calls.append(None))
    for _ in range(100):
        await asyncio.sleep(0)
    table.close()
    assert len(calls) < 10  # somebody else may mount something just now
