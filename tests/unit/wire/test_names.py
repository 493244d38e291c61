import os

from hypothesis import given
from hypothesis import strategies as st

from pyganeti.wire import names


@given(st.binary(max_size=40).filter(lambda raw: b"\0" not in raw and b"/" not in raw))
def test_every_file_name_comes_back_exactly(raw: bytes) -> None:
    name = os.fsdecode(raw)
    assert names.from_column(names.to_column(name)) == name


@given(st.text(st.characters()))
def test_every_text_has_a_readable_form(text: str) -> None:
    names.readable(text).encode()
    names.from_column(names.to_column(text)).encode("utf-8", "surrogateescape")


def test_everything_in_an_object_is_made_readable() -> None:
    odd = {"\udcff": ["a\ud800", {"b": "\udc80"}], "n": 1, "t": ("x",), "z": None}
    assert names.all_readable(odd) == {
        "\\xff": ["a\\ud800", {"b": "\\x80"}],
        "n": 1,
        "t": ["x"],
        "z": None,
    }
