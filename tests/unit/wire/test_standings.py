import pytest

from pyganeti.base import errors
from pyganeti.wire import standings


def test_a_content_is_of_the_epoch_to_come_only_if_it_has_come() -> None:
    label = standings.Label(5, 6, standings.digest_of(b"new"))
    assert label.of(standings.digest_of(b"old")) == 5
    assert label.of(standings.digest_of(b"new")) == 6
    assert standings.Label(5).of(standings.digest_of(b"any")) == 5


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"epoch":"x"}'])
def test_a_label_that_is_none_is_damage(content: bytes) -> None:
    with pytest.raises(errors.Damaged):
        standings.decode_label(content)


def test_bare_names_are_the_oldest_list_of_good_copies() -> None:
    old = standings.decode_good(b'["u1","u2"]')
    new = standings.decode_good(b'{"version":1,"epoch":1,"number":0,"master":"u1","names":["u2"]}')
    assert old is not None
    assert new is not None
    assert old.names == ("u1", "u2")
    assert new.rank > old.rank
    for garbage in (b"", b"7", b'{"version":2,"epoch":1,"number":0,"master":"","names":[]}'):
        assert standings.decode_good(garbage) is None


def test_nonsense_of_a_node_is_damage() -> None:
    with pytest.raises(errors.Damaged):
        standings.decode({"epoch": 1})
