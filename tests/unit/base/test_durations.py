import pytest

from pyganeti.base import durations, errors


@pytest.mark.parametrize(
    ("said", "seconds"), [("30", 30), ("5m", 300), ("2h", 7200), ("3d", 259200), ("1w", 604800)]
)
def test_times_are_seconds(said: str, seconds: int) -> None:
    assert durations.seconds(said) == seconds


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="time"):
        durations.seconds("5 weeks")
