"""Routing tables by number and by name."""

from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded.net import tables


def test_a_number_is_itself_and_three_names_are_always_known() -> None:
    assert tables.number("100", ()) == 100
    assert tables.number("main", ()) == 254


def test_names_come_from_files_and_the_last_one_wins(tmp_path: Path) -> None:
    vendor, site = tmp_path / "vendor", tmp_path / "site"
    (site / "rt_tables.d").mkdir(parents=True)
    vendor.mkdir()
    (vendor / "rt_tables").write_text("# reserved\n7 guests\n8 other\n")
    (site / "rt_tables.d/local.conf").write_text("0x10\tguests\n")
    assert tables.number("guests", (vendor, site)) == 16
    assert tables.number("other", (vendor, site)) == 8


@pytest.mark.parametrize("name", ["nosuch", "0", "4294967296", "-1", "lo"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(errors.BadInput, match="no routing table"):
        tables.number(name, ())
