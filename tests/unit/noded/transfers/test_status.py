"""How far a transfer is, how fast, and for how long yet; and telling it."""

import io
import json
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded.transfers import status


@pytest.mark.parametrize(
    ("samples", "expected", "told"),
    [
        ([(0.0, 0.0)], None, (None, None, None)),
        ([(0.0, 0.0)], 100, (None, 0.0, None)),
        ([(5.0, 10.0), (5.0, 10.0)], 100, (None, 10.0, None)),
        ([(0.0, 0.0), (10.0, 50.0)], None, (5.0, None, None)),
        ([(0.0, 0.0), (10.0, 50.0)], 100, (5.0, 50.0, 10.0)),
        ([(0.0, 0.0), (10.0, 50.0), (20.0, 60.0)], 90, (3.0, pytest.approx(66.67, 0.01), 10.0)),
        ([(0.0, 0.0), (10.0, 200.0)], 100, (20.0, 100.0, 0.0)),
        ([(0.0, 20.0), (10.0, 20.0)], 100, (0.0, 20.0, None)),
        ([(0.0, 0.0), (10.0, 50.0)], 0, (5.0, None, 0.0)),
    ],
)
def test_progress_is_told_as_far_as_it_is_known(
    samples: list[status.Sample],
    expected: float | None,
    told: tuple[float | None, float | None, float | None],
) -> None:
    assert status.progress(samples, expected) == told


def test_a_board_tells_what_happened_and_keeps_the_last_lines(tmp_path: Path) -> None:
    log = io.StringIO()
    board = status.Board(tmp_path / "status", log, expected=4)
    told = json.loads((tmp_path / "status").read_bytes())
    assert told.keys() == {"recent_output", "ctime", "mtime"}
    board.listening(4711)
    board.connected()
    board.start()
    board.moved(1024 * 1024)
    for number in range(30):
        board.say(f"line {number}\x1b[2J{'x' * 2000}")
    board.finish(status.SUCCESS, None)
    found = status.read(tmp_path / "status")
    assert found is not None
    assert (found.listen_port, found.connected, found.exit_status) == (4711, True, 0)
    assert (found.progress_mbytes, found.progress_percent) == (1.0, 25.0)
    assert len(found.recent_output) == 20
    assert found.recent_output[0].startswith("line 10?[2Jxxx")
    assert max(map(len, found.recent_output)) == 1000
    assert log.getvalue().count("\n") == 30
    assert (tmp_path / "status").stat().st_mode & 0o777 == 0o400


def test_a_size_that_becomes_known_later_counts(tmp_path: Path) -> None:
    board = status.Board(tmp_path / "status", io.StringIO(), expected=None)
    board.connected()
    board.moved(1024 * 1024)
    board.expect(2 * 1024 * 1024)
    board.finish(status.FAILURE, "why")
    found = status.read(tmp_path / "status")
    assert found is not None
    assert (found.progress_percent, found.error_message) == (50.0, "why")
    assert found.recent_output == ["why"]


def test_what_is_not_there_or_no_status(tmp_path: Path) -> None:
    assert status.read(tmp_path / "status") is None
    (tmp_path / "status").write_text('{"ctime": "yesterday"}')
    with pytest.raises(errors.Damaged):
        status.read(tmp_path / "status")
