from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import logtext


def test_a_message_stands_first_and_plain_values_stand_plain() -> None:
    rendered = logtext.render("a guest stopped", {"name": "web1", "pid": 5, "path": "/run/x.kvmd"})
    assert rendered == "a guest stopped name=web1 pid=5 path=/run/x.kvmd"


def test_values_that_could_be_misread_are_quoted() -> None:
    fields = {"a": "two words", "b": 'say "hi"', "c": "", "d": "x=y", "e": "back\\slash"}
    rendered = logtext.render("m", fields)
    assert rendered == 'm a="two words" b="say \\"hi\\"" c="" d="x=y" e="back\\\\slash"'


def test_what_does_not_print_is_escaped() -> None:
    assert logtext.escape("a\nb\rc\td\0\x1b[31m\x7f\x85") == (
        "a\\nb\\rc\\td\\x00\\x1b[31m\\x7f\\x85"
    )
    assert logtext.escape("\u2028\u202e\U000e0001") == "\\u2028\\u202e\\U000e0001"
    assert logtext.escape(b"caf\xe9".decode(errors="surrogateescape")) == "caf\\xe9"
    assert logtext.escape("\ud800") == "\\ud800"
    assert logtext.escape("Zürich 東京") == "Zürich 東京"


def test_an_endless_value_is_cut_and_so_is_a_line() -> None:
    assert len(logtext.render("m", {"a": "x" * 10**6})) < 2100
    assert len(logtext.render("m", {str(n): "\n" * 10**5 for n in range(10)})) <= 8000


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert logtext.render("m", {"a": Broken()}) == 'm a="<Broken that cannot be shown>"'


def test_the_lines_of_a_traceback_cannot_be_taken_for_records() -> None:
    error = ValueError("first\n2026-01-01 00:00:00,000: ganeti-kvmd pid=1 INFO forged\x1b")
    lines = logtext.traceback_lines(error)
    assert all(line.startswith("    ") and line.isprintable() for line in lines)
    assert len(logtext.traceback_lines(ValueError("\n" * 10_000))) <= 100


@given(st.dictionaries(st.text(), st.text() | st.binary() | st.integers(), max_size=5), st.text())
def test_whatever_is_logged_is_one_printable_line(fields: dict[str, object], text: str) -> None:
    rendered = logtext.render(text, fields)
    assert rendered.isprintable()
    rendered.encode()
