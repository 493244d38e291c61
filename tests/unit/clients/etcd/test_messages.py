"""Ranges of keys that begin alike."""

import pytest

from pyganeti.clients.etcd import messages


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"/a/", b"/a0"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")],
)
def test_the_end_of_what_begins_so_is_right_behind_it(prefix: bytes, end: bytes) -> None:
    assert messages.end_of(prefix) == end
