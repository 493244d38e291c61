import asyncio
from pathlib import Path

import pytest

from pyganeti.base import errors, filelock


async def test_a_lock_is_made_where_there_is_none(tmp_path: Path) -> None:
    async with filelock.exclusive(tmp_path / "new" / "lock"):
        assert (tmp_path / "new" / "lock").exists()


async def test_whoever_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    order = []

    async def second() -> None:
        async with filelock.exclusive(tmp_path / "lock"):
            order.append("second")

    async with filelock.exclusive(tmp_path / "lock"):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.02)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


async def test_waiting_ends(tmp_path: Path) -> None:
    async with filelock.exclusive(tmp_path / "lock"):
        with pytest.raises(errors.Interrupted, match="held the lock"):
            async with filelock.exclusive(tmp_path / "lock", patience=0.02):
                pass


async def test_a_lock_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.Unavailable, match="no lock"):
        async with filelock.exclusive(tmp_path / "file" / "lock"):
            pass


async def test_a_shared_lock_is_shared_and_never_waits(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with filelock.shared(path) as first, filelock.shared(path) as second:
        assert first
        assert second
        with pytest.raises(errors.Interrupted):
            async with filelock.exclusive(path, patience=0.02):
                pass
    async with filelock.exclusive(path):
        with filelock.shared(path) as got:
            assert not got
