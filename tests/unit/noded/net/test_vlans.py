"""What a NIC's vlan means."""

import pytest

from pyganeti.base import errors
from pyganeti.noded.net import vlans


@pytest.mark.parametrize(
    ("text", "untagged", "tagged"),
    [
        ("10", 10, ()),
        (".10", 10, ()),
        (":20", None, (20,)),
        (":20:30:20", None, (20, 30)),
        (".10:20:30", 10, (20, 30)),
        ("10:20", 10, (20,)),
        (".10:10:20", 10, (20,)),
        ("4094", 4094, ()),
    ],
)
def test_one_untagged_several_tagged_or_both(
    text: str, untagged: int | None, tagged: tuple[int, ...]
) -> None:
    assert vlans.parse(text) == vlans.Vlans(untagged, tagged)


def test_nothing_is_left_to_the_bridge() -> None:
    assert vlans.parse("") is None


@pytest.mark.parametrize("text", [".", ":", "a", "10:", "0", "4095", "10,20", "1 0", "-1", "٣"])
def test_what_says_no_vlans_is_refused(text: str) -> None:
    with pytest.raises(errors.BadInput):
        vlans.parse(text)
