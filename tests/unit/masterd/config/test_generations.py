"""Earlier states are kept for weeks, ever fewer of them, and never without bound."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pyganeti.masterd.config import generations

_NOW = 1_800_000_000.0
_DAY = 86400.0


def _generation(serial_no: int, age: float) -> generations.Generation:
    return generations.Generation(Path(f"/{serial_no}"), serial_no, _NOW - age)


def test_a_change_every_ten_minutes_for_a_month_leaves_a_bounded_number() -> None:
    keeping: set[generations.Generation] = set()
    step, now = 600, _NOW
    for number in range(int(33 * _DAY / step)):
        now = _NOW + number * step
        keeping.add(generations.Generation(Path(f"/{number}"), number, now))
        keeping = generations.kept(keeping, now)
    assert 60 < len(keeping) < 130
    ages = sorted(now - generation.written for generation in keeping)
    assert ages[19] <= 20 * step
    assert 29 * _DAY < ages[-1] < 32 * _DAY


@given(st.lists(st.floats(0, 90 * _DAY), max_size=60))
def test_the_newest_are_kept_and_nothing_is_lost_that_was_kept_before(ages: list[float]) -> None:
    all_of_them = {_generation(number, age) for number, age in enumerate(ages)}
    keeping = generations.kept(all_of_them, _NOW)
    newest = sorted(all_of_them, key=lambda one: (-one.written, -one.serial_no))
    assert keeping <= all_of_them
    assert set(newest[: generations.NEWEST]) <= keeping
    assert generations.kept(keeping, _NOW) == keeping


def test_old_ones_are_kept_if_they_are_all_there_is() -> None:
    old = {_generation(number, 400 * _DAY + number) for number in range(5)}
    assert generations.kept(old, _NOW) == old


def test_what_is_kept_is_found_again_the_newest_first(tmp_path: Path) -> None:
    current, directory = tmp_path / "config.data", tmp_path / "generations"
    for serial_no in (9, 10, 11):
        current.unlink(missing_ok=True)
        current.write_text(str(serial_no))
        os.utime(current, (_NOW + serial_no, _NOW + serial_no))
        generations.keep(directory, current, serial_no, _NOW)
    (directory / "somebody's notes").touch()
    found = generations.found(directory)
    assert [one.serial_no for one in found] == [11, 10, 9]
    assert found[2].path.read_text() == "9"
    assert "serial number 11, of 2027-01-15 08:00:11 UTC" in generations.describe(found[0])
    assert generations.found(tmp_path / "none") == []


def test_keeping_removes_what_is_over_and_nothing_else(tmp_path: Path) -> None:
    current, directory = tmp_path / "config.data", tmp_path / "generations"
    for number in range(60):
        current.unlink(missing_ok=True)
        current.write_text(str(number))
        at = _NOW - 200 * _DAY + number
        os.utime(current, (at, at))
        generations.keep(directory, current, number, _NOW)
    (directory / "config.data.saved-by-hand").touch()
    assert [one.serial_no for one in generations.found(directory)] == list(range(59, 39, -1))
    assert (directory / "config.data.saved-by-hand").exists()


def test_what_cannot_be_kept_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "generations").write_text("a file in the directory's place")
    current = tmp_path / "config.data"
    current.write_text("x")
    generations.keep(tmp_path / "generations", current, 1, _NOW)
    generations.keep(tmp_path / "other", tmp_path / "nothing there", 1, _NOW)
    generations.keep(tmp_path / "other", current, 1, _NOW)
    generations.keep(tmp_path / "other", current, 1, _NOW)
    assert len(generations.found(tmp_path / "other")) == 1
