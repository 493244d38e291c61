import struct

import pytest

from pyganeti.noded.net import departures


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _message(kind: int, *attributes: bytes) -> bytes:
    body = bytes(16) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


_MTU = _attribute(4, struct.pack("=I", 1500))
_GONE = _message(17, _MTU, _attribute(3, b"tap0\0"), _MTU)
_MADE = _message(16, _attribute(3, b"tap1\0"))


def test_the_names_of_what_went_are_read_and_of_nothing_else() -> None:
    assert list(departures.departed(_MADE + _GONE + _MADE + _GONE)) == ["tap0", "tap0"]
    assert list(departures.departed(_message(17, _MTU))) == []


@pytest.mark.parametrize("cut", range(len(_GONE)))
def test_a_message_that_is_cut_off_ends_nothing(cut: int) -> None:
    assert len(list(departures.departed(_GONE[:cut]))) <= 1


@pytest.mark.parametrize("length", [0, 1, 15, 2**32 - 1])
def test_lengths_that_cannot_be_end_the_reading(length: int) -> None:
    list(departures.departed(struct.pack("=I", length) + _GONE[4:]))
    list(departures.departed(_message(17, struct.pack("=HH", length & 0xFFFF, 3))))
