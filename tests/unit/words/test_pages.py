import io
import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pyganeti.words import pages


@given(st.text(st.characters()))
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    found = pages.shown(text)
    assert all(
        unicodedata.category(character)[0] not in "CZ" or character == " " for character in found
    )
    found.encode()


def test_what_is_not_plain_is_written_out() -> None:
    assert (
        pages.shown("a\x1b[31mb\n\udcff\u202e\u2028名") == "a\\x1b[31mb\\x0a\\xff\\u202e\\u2028名"
    )


def test_tables_are_aligned_by_what_a_terminal_shows() -> None:
    out = io.StringIO()
    pages.write_table(out, ("NAME", "WHY"), [("名前", "x"), ("ab", "y\ny"), ("e\u0301", "")])
    assert out.getvalue() == "NAME  WHY\n名前  x\nab    y\\x0ay\ne\u0301\n"


def test_a_stream_that_lacks_a_character_gets_an_escape() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    pages.write_line(out, "名 é")
    pages.write_json(out, {"name": "名"})
    out.flush()
    plain, row = raw.getvalue().splitlines()
    assert plain == b"\\u540d \\xe9"
    assert json.loads(row) == {"name": "名"}


def test_paragraphs_are_folded_between_words() -> None:
    out = io.StringIO()
    pages.write_paragraph(out, "one two three " + "x" * 30, 10)
    assert out.getvalue().splitlines() == ["one two", "three", "x" * 30]
