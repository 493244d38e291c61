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
