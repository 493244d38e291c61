"""How an etcd is reached, from words."""

from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.clients.etcd import access


@pytest.mark.parametrize(
    ("word", "target", "tls"),
    [
        ("http://192.0.2.1:2379", "192.0.2.1:2379", False),
        ("https://etcd1.example.com:4001", "etcd1.example.com:4001", True),
        ("etcd1", "etcd1:2379", False),
        ("etcd1:1", "etcd1:1", False),
        ("http://[2001:db8::1]:2379", "[2001:db8::1]:2379", False),
        ("https://etcd1/", "etcd1:2379", True),
    ],
)
def test_an_endpoint_is_what_its_word_says(word: str, target: str, *, tls: bool) -> None:
    [endpoint] = access.parse([word])
    assert (endpoint.target, endpoint.tls) == (target, tls)
    assert access.parse([str(endpoint)]) == (endpoint,)


def test_several_may_stand_in_one_word_and_each_counts_once() -> None:
    found = access.parse(["a,b:2379", " b , c", ""])
    assert [endpoint.host for endpoint in found] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "word",
    [
        "ftp://a:1",
        "http://",
        "http://a:0",
        "http://a:70000",
        "http://a:x",
        "http://a/path",
        "http://u:p@a",
        "http://a?b",
        "a b",
        "http://[::1",
    ],
)
def test_what_is_no_endpoint_is_refused(word: str) -> None:
    with pytest.raises(errors.BadInput, match="no endpoint of etcd"):
        access.parse([word])


def test_a_way_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="at least one endpoint"):
        access.Access(endpoints=())
    with pytest.raises(errors.BadInput, match="goes with its key"):
        access.Access(endpoints=access.parse(["https://a"]), certificate=Path("/c"))
    with pytest.raises(errors.BadInput, match="without TLS"):
        access.Access(endpoints=access.parse(["https://a,http://b"]), authority=Path("/c"))
