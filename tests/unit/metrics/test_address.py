import pytest

from pyganeti.base import errors
from pyganeti.metrics import address


@pytest.mark.parametrize(
    ("said", "host", "port"),
    [
        ("127.0.0.1:1831", "127.0.0.1", 1831),
        (":1831", "127.0.0.1", 1831),
        ("[::1]:9", "::1", 9),
        ("node1.example.com:0", "node1.example.com", 0),
    ],
)
def test_a_host_and_a_port_are_understood(said: str, host: str, port: int) -> None:
    assert address.parse(said) == address.Address(host, port)


def test_off_is_nowhere() -> None:
    assert address.parse("off") is None


@pytest.mark.parametrize(
    "said", ["", "1831", "::1:1831", "a:b:1", "[::1]", "a:65536", "a b:1", "on"]
)
def test_anything_else_is_refused(said: str) -> None:
    with pytest.raises(errors.BadInput, match="not an address"):
        address.parse(said)


def test_what_is_written_is_read_as_the_same() -> None:
    for said in ("[::1]:9", "127.0.0.1:1831"):
        assert str(address.parse(said)) == said
