import os
from pathlib import Path

import pytest

from pyganeti.base import filelock, paths
from pyganeti.watcher import instancestatus

_ONE, _TWO = (f"0f5ab3e8-4b9b-4e6c-8d27-5b0ad5a3a11{number}" for number in (1, 2))


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    made = paths.Paths(tmp_path, "node1.example.com")
    made.state_dir.mkdir(parents=True)
    return made


def _whole(layout: paths.Paths) -> str:
    return (layout.run_dir / "instance-status").read_text()


async def test_all_groups_are_put_together_and_the_newest_word_counts(layout: paths.Paths) -> None:
    await instancestatus.write(layout, _ONE, [_ONE, _TWO], {"web2": "running", "web1": "USER_down"})
    assert _whole(layout) == "web1 USER_down\nweb2 running"
    os.utime(instancestatus.place_of(layout, _ONE), (1, 1))

    await instancestatus.write(layout, _TWO, [_ONE, _TWO], {"web2": "ERROR_down", "a": "running"})

    assert instancestatus.place_of(layout, _TWO).read_text() == "a running\nweb2 ERROR_down"
    assert _whole(layout) == "a running\nweb1 USER_down\nweb2 ERROR_down"


async def test_who_cannot_lock_leaves_it_to_who_has_the_lock(
    layout: paths.Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    await instancestatus.write(layout, _ONE, [_ONE], {"web1": "running"})
    monkeypatch.setattr(instancestatus, "PATIENCE", 0.05)
    async with filelock.exclusive(layout.run_dir / "instance-status"):
        await instancestatus.write(layout, _ONE, [_ONE], {"web1": "ADMIN_down"})
        assert _whole(layout) == "web1 running"
    assert instancestatus.place_of(layout, _ONE).read_text() == "web1 ADMIN_down"


async def test_where_nothing_can_be_written_that_is_said(
    layout: paths.Paths, caplog: pytest.LogCaptureFixture
) -> None:
    layout.run_dir.parent.mkdir(parents=True)
    layout.run_dir.touch()
    await instancestatus.write(layout, _ONE, [_ONE], {"web1": "running"})
    assert "cannot be written" in caplog.text
