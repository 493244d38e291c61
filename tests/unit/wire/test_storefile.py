"""What a cluster is kept in, as its candidates have it on the disk."""

import json

import pytest

from pyganeti.base import errors
from pyganeti.wire import storefile

KEPT = storefile.Etcd(
    endpoints=("https://192.0.2.1:2379", "https://[2001:db8::1]:2379"),
    prefix="/ganeti/cluster.example.com/",
    authority="/etc/ganeti/etcd/ca.pem",
)


def test_what_is_written_is_read_again() -> None:
    assert storefile.decode(storefile.encode(KEPT)) == KEPT
    assert json.loads(storefile.encode(KEPT))["kind"] == "etcd"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"endpoints": []}, "no endpoint"),
        ({"endpoints": "etcd1"}, "array"),
        ({"prefix": "ganeti/"}, "slash"),
        ({"prefix": "/ganeti"}, "slash"),
        ({"kind": "consul"}, "consul"),
        ({"version": 2}, "version"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_what_cannot_be_meant_is_damaged_and_says_where(
    change: dict[str, object], words: str
) -> None:
    said = json.loads(storefile.encode(KEPT)) | change
    with pytest.raises(errors.Damaged, match=words):
        storefile.decode(json.dumps(said).encode())


def test_garbage_is_damaged() -> None:
    for garbage in (b"", b"\xff", b"[]", b"{}", b"null"):
        with pytest.raises(errors.Damaged, match=r"store\.json"):
            storefile.decode(garbage)
