import logging
import os
from pathlib import Path

import pytest

from lab import happenings
from pyganeti.watcher.telling import message, outbox

_BODIES = [message.as_json(happenings.an_event(key=f"q{n}"), "c") for n in range(10)]
_IDS = [message.identity(happenings.an_event(key=f"q{n}")) for n in range(10)]


def _put(box: outbox.Outbox, *numbers: int) -> list[bool]:
    return [box.put(_IDS[n], "restarted", _BODIES[n]) for n in numbers]


def _ids(box: outbox.Outbox) -> list[str]:
    found = []
    while (first := box.first) is not None:
        found.append(first.id)
        box.remove(first)
    return found


def _loaded(place: Path, most: int = outbox.MOST) -> outbox.Outbox:
    box = outbox.Outbox(place, most)
    box.load()
    return box


def test_what_is_owed_outlives_the_process_in_its_order(tmp_path: Path) -> None:
    place = tmp_path / "box"
    first = outbox.Outbox(place)
    _put(first, 3, 1, 2)
    assert place.stat().st_mode & 0o777 == 0o700
    again = _loaded(place)
    found = again.first
    assert found is not None
    assert (found.kind, found.body) == ("restarted", _BODIES[3])
    assert _ids(again) == [_IDS[3], _IDS[1], _IDS[2]]
    assert len(_loaded(place)) == 0


def test_an_event_is_owed_once(tmp_path: Path) -> None:
    box = outbox.Outbox(tmp_path / "box")
    assert _put(box, 1, 1) == [True, False]
    again = _loaded(tmp_path / "box")
    assert _put(again, 1, 2) == [False, True]


def test_of_too_much_the_oldest_goes_from_the_disk_too(tmp_path: Path) -> None:
    box = outbox.Outbox(tmp_path / "box", most=3)
    _put(box, *range(5))
    assert box.dropped == 2
    assert _ids(_loaded(tmp_path / "box")) == _IDS[2:5]
    _put(outbox.Outbox(tmp_path / "other"), *range(5))
    assert _ids(_loaded(tmp_path / "other", most=2)) == _IDS[3:5]


def test_what_is_no_event_is_left_alone_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "box"
    _put(outbox.Outbox(place), 1)
    name = f"{5:020d}-{_IDS[2]}.json"
    (place / name).write_bytes(_BODIES[3])  # another's
    (place / f"{6:020d}-{_IDS[4]}.json").write_bytes(b"\xff{")
    (place / f"{7:020d}-{_IDS[5]}.json").symlink_to("/etc/passwd")
    (place / f"{8:020d}-{_IDS[6]}.json").write_bytes(b" " * 100_000)
    (place / "README").write_text("mine")
    (place / ".new-left").write_text("half")
    (place / ".new-old").write_text("half")
    os.utime(place / ".new-old", (0, 0))
    with caplog.at_level(logging.WARNING):
        assert _ids(_loaded(place)) == [_IDS[1]]
    assert "files that are no events" in caplog.text
    assert "count=5" in caplog.text
    assert len(list(place.iterdir())) == 6


def test_what_the_disk_does_not_take_is_owed_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "box"
    place.write_text("a file where the directory should be")
    box = outbox.Outbox(place)
    with caplog.at_level(logging.ERROR):
        assert _put(box, 1, 2) == [True, True]
    assert caplog.text.count("events are owed in memory alone") == 1
    place.unlink()
    _put(box, 3)
    assert _ids(box) == _IDS[1:4]
    assert len(_loaded(place)) == 0
