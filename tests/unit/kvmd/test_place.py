import os
from pathlib import Path

import pytest

from pyganeti.kvmd import place as places


@pytest.mark.parametrize(
    ("file", "guest"),
    [
        ("web1.kvmd", "web1"),
        ("web1.qmp", "web1"),
        ("web1.kvmd.kvmd", "web1.kvmd"),
        ("a b\n.kvmd", "a b\n"),
        (".kvmd", None),
        ("web1.shutdown", None),
        ("web1", None),
        ("kvmd", None),
    ],
)
def test_guest_of_a_socket_is_told_by_its_name(file: str, guest: str | None) -> None:
    assert places.Place(suffixes=(".kvmd", ".qmp")).guest_of(file) == guest


def test_sockets_of_a_guest_come_in_the_order_of_the_suffixes() -> None:
    place = places.Place(suffixes=(".b", ".a"))
    assert place.sockets_of("web1") == ["web1.b", "web1.a"]
    assert [place.guest_of(file) for file in place.sockets_of("web1")] == ["web1", "web1"]


def test_file_is_looked_at_itself_and_a_missing_one_or_a_missing_directory_is_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "link.kvmd").symlink_to("nowhere")
    place = places.Place()
    assert place.stat("link.kvmd") is None
    place.dirfd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert place.stat("link.kvmd") is not None
        assert place.stat("web1.kvmd") is None
    finally:
        os.close(place.dirfd)
