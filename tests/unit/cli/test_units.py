import pytest

from pyganeti.base import errors
from pyganeti.cli import units


@pytest.mark.parametrize(
    ("said", "amount"),
    [
        ("512", 512),
        ("512M", 512),
        ("1g", 1024),
        ("1.5G", 1536),
        ("2TiB", 2 * 1024 * 1024),
        ("513", 516),
        ("1k", 4),
        ("4GB", 4096),
        ("1048576b", 4),
    ],
)
def test_amounts_are_mebibytes_in_fours(said: str, amount: int) -> None:
    assert units.mebibytes(said) == amount


@pytest.mark.parametrize("said", ["", "x", "-1", "1q", "1 2", "G"])
def test_what_is_no_amount_is_refused(said: str) -> None:
    with pytest.raises(errors.BadInput, match="amount"):
        units.mebibytes(said)


@pytest.mark.parametrize(
    ("said", "seconds"), [("30", 30), ("5m", 300), ("2h", 7200), ("3d", 259200), ("1w", 604800)]
)
def test_times_are_seconds(said: str, seconds: int) -> None:
    assert units.seconds(said) == seconds


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="time"):
        units.seconds("5 weeks")
