import contextlib
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.words import moments

_NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def in_vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        ("45m", 2700),
        ("2h", 7200),
        ("3d", 259_200),
        ("1w", 604_800),
        ("30s", 30),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (" 2H ", 7200),
    ],
)
def test_an_age_is_counted_back_from_now(age: str, seconds: float) -> None:
    assert moments.since(age, _NOW) == _NOW - seconds


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2023-11-14", 1699916400.0),
        ("2023-11-14T23:13:20", 1_700_000_000.0),
        ("2023-11-14 23:13", 1699999980.0),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T22:13:20+00:00", 1_700_000_000.0),
        ("2023-07-01T00:00", 1688162400.0),
    ],
)
def test_a_time_without_a_zone_is_local(text: str, at: float) -> None:
    assert moments.since(text, _NOW) == at


@pytest.mark.parametrize("text", ["", "yesterday", "2", "h", "2 h", "-3d", "2h!", "2023-13-01"])
def test_anything_else_is_bad_input(text: str) -> None:
    with pytest.raises(errors.BadInput):
        moments.since(text, _NOW)


@given(st.text())
def test_no_text_raises_anything_but_bad_input(text: str) -> None:
    with contextlib.suppress(errors.BadInput):
        moments.since(text, _NOW)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (0, "0s"),
        (0.25, "0.25s"),
        (9.999, "10s"),
        (59.9, "59s"),
        (60, "1min"),
        (310, "5min 10s"),
        (3600, "1h"),
        (7500, "2h 5min"),
        (86_400 * 3 + 4 * 3600 + 59, "3d 4h"),
        (86_400 + 59, "1d"),
        (-5, "-5s"),
    ],
)
def test_a_duration_shows_its_two_largest_units(seconds: float | None, shown: str) -> None:
    assert moments.duration(seconds) == shown


def test_times_are_shown_in_local_time() -> None:
    assert moments.day_and_time(_NOW) == "2023-11-14 23:13:20"
    assert moments.to_the_millisecond(_NOW + 0.0425) == "2023-11-14 23:13:20.042"
    assert moments.ago(_NOW - 7500, _NOW) == "2h 5min ago"
    assert moments.ago(_NOW + 3, _NOW) == "in 3s"


@given(st.floats())
def test_every_number_can_be_shown(at: float) -> None:
    moments.day_and_time(at)
    moments.to_the_millisecond(at)
    moments.duration(at)
