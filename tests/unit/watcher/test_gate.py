from pathlib import Path

import pytest

from pyganeti.base import filelock, paths
from pyganeti.watcher import gate

_NOW = 1_700_000_000.0


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    made = paths.Paths(tmp_path, "node1.example.com")
    made.state_dir.mkdir(parents=True)
    return made


def _gate(layout: paths.Paths, *, ignores_pause: bool = False) -> gate.Gate:
    return gate.Gate(layout, ignores_pause=ignores_pause, clock=lambda: _NOW)


def test_a_pause_closes_it_until_it_is_over(layout: paths.Paths) -> None:
    layout.watcher_pause.write_text(f"{_NOW + 60:.0f}\n")
    assert not _gate(layout).is_open()
    assert _gate(layout, ignores_pause=True).is_open()

    layout.watcher_pause.write_text(f"{_NOW - 60:.0f}\n")
    assert _gate(layout).is_open()


async def test_who_holds_the_lock_for_himself_closes_it(layout: paths.Paths) -> None:
    async with filelock.exclusive(layout.watcher_lock):
        assert not _gate(layout, ignores_pause=True).is_open()
    with _gate(layout).opened() as first, _gate(layout).opened() as second:
        assert first
        assert second


def test_a_pause_that_is_no_time_does_not_pause(layout: paths.Paths) -> None:
    layout.watcher_pause.write_text("soon\n")
    assert _gate(layout).is_open()
    assert not layout.watcher_pause.exists()


def test_it_stays_closed_where_it_cannot_be_told(layout: paths.Paths) -> None:
    layout.lock_dir.parent.mkdir(parents=True, exist_ok=True)
    layout.lock_dir.touch()
    assert not _gate(layout).is_open()
