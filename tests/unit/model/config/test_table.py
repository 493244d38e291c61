"""Indexes are what they would be if made anew, whatever was put in and taken out before."""

from hypothesis import given
from hypothesis import strategies as st

from pyganeti.model.config import table


def _words(text: str) -> list[str]:
    return text.split()


def _lengths(text: str) -> list[str]:
    return [str(len(text))]


_UUIDS = st.sampled_from(["a", "b", "c", "d", "e"])
_TEXTS = st.none() | st.lists(st.sampled_from(["x", "y", "z"]), max_size=3).map(" ".join)
_CHANGES = st.lists(st.dictionaries(_UUIDS, _TEXTS, max_size=4), max_size=8)


@given(_CHANGES, st.integers(0, 8))
def test_an_index_carried_along_is_the_one_made_anew(
    steps: list[dict[str, str | None]], asked_at: int
) -> None:
    carried: table.Table[str] = table.Table()
    held: dict[str, str] = {}
    for number, changes in enumerate(steps):
        if number == asked_at:
            carried.index(_words)
        carried.index(_lengths)
        before, was = carried, dict(carried)
        carried = carried.changed(changes)
        held |= {uuid: text for uuid, text in changes.items() if text is not None}
        for uuid in [uuid for uuid, text in changes.items() if text is None]:
            held.pop(uuid, None)
        assert dict(before) == was
    fresh = table.Table(held)
    assert carried == fresh
    for keys in (_words, _lengths):
        made, anew = carried.index(keys), fresh.index(keys)
        assert {key: sorted(uuids) for key, uuids in made.items()} == {
            key: sorted(uuids) for key, uuids in anew.items()
        }


def test_what_did_not_change_is_shared() -> None:
    first = table.Table({"a": "x y", "b": "z"})
    index = first.index(_words)
    assert first.changed({}) is first
    second = first.changed({"b": "y x".replace("y x", "z")})
    assert second.index(_words) is index
    third = second.changed({"b": "w"})
    assert third.index(_words) == {"x": ("a",), "y": ("a",), "w": ("b",)}
    assert index == {"x": ("a",), "y": ("a",), "z": ("b",)}


def test_a_key_that_an_object_has_twice_is_there_twice() -> None:
    first = table.Table({"a": "x x"})
    assert first.index(_words) == {"x": ("a", "a")}
    assert first.changed({"a": "x"}).index(_words) == {"x": ("a",)}
