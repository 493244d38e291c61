import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.cli import filters


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("offline", ["?", "offline"]),
        ("not offline", ["!", ["?", "offline"]]),
        ('status == "running"', ["==", "status", "running"]),
        ("status = 'running'", ["==", "status", "running"]),
        ('name != "a\\"b"', ["!=", "name", 'a"b']),
        ("be/memory > 2048", [">", "be/memory", 2048]),
        ("be/memory<=-1", ["<=", "be/memory", -1]),
        ("name =~ m/^web/", ["=~", "name", "^web"]),
        ("name =~ /WEB/is", ["=~", "name", "(?is)WEB"]),
        ("name =~ m|a/b|", ["=~", "name", "a/b"]),
        ("name !~ m/x/", ["!", ["=~", "name", "x"]]),
        ('name =* "web*"', ["=~", "name", filters.glob("web*")]),
        ('name !* "web?"', ["!", ["=~", "name", filters.glob("web?")]]),
        ('"tag" in tags', ["=[]", "tags", "tag"]),
        ("'tag' not in tags", ["!", ["=[]", "tags", "tag"]]),
        ("a and b or c", ["|", ["&", ["?", "a"], ["?", "b"]], ["?", "c"]]),
        ("a & b | c", ["|", ["&", ["?", "a"], ["?", "b"]], ["?", "c"]]),
        ("a and (b or c)", ["&", ["?", "a"], ["|", ["?", "b"], ["?", "c"]]]),
        ("!(a) & not b", ["&", ["!", ["?", "a"]], ["!", ["?", "b"]]]),
        ("a|b|c", ["|", ["?", "a"], ["?", "b"], ["?", "c"]]),
    ],
)
def test_a_filter_means_what_it_says(text: str, meant: list[Any]) -> None:
    assert filters.parse(text) == meant


@pytest.mark.parametrize(
    "text",
    ["", "a ==", "== 1", "(a", "a)", "a b", 'a == "x', "a =~ 5", "1", "1 in 2", "a == b", "a;b"],
)
def test_a_filter_that_makes_no_sense_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(errors.BadInput, match="the filter"):
        filters.parse(text)


@given(st.text("ab ()&|!=~<>\"'/m1\\", max_size=20))
def test_whatever_is_typed_is_a_filter_or_refused(text: str) -> None:
    try:
        meant = filters.parse(text)
    except errors.BadInput:
        return
    assert isinstance(meant, list)


def test_no_words_mean_everything() -> None:
    assert filters.of_words([]) is None


def test_words_are_names_and_patterns() -> None:
    assert filters.of_words(["web1", "db*"]) == [
        "|",
        ["==", "name", "web1"],
        ["=~", "name", filters.glob("db*")],
    ]


def test_one_word_with_signs_is_a_filter() -> None:
    assert filters.of_words(["a == 1"]) == ["==", "a", 1]
    assert filters.of_words(["a"], force=True) == ["?", "a"]
    with pytest.raises(errors.BadInput, match="quotes"):
        filters.of_words(["a", "b"], force=True)


def test_numbers_are_numbers_where_names_are() -> None:
    assert filters.of_words(["12"], field="id", numeric=True) == ["|", ["==", "id", 12]]
    with pytest.raises(errors.BadInput, match="not a number"):
        filters.of_words(["x"], field="id", numeric=True)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("web*", "web1", True),
        ("web*", "web1.example.com", True),
        ("web*", "db1", False),
        ("*.example.com", "web1.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("web?", "web12", False),
        ("w.b*", "web1", False),
    ],
)
def test_a_pattern_stays_within_a_names_parts(pattern: str, name: str, *, matches: bool) -> None:
    assert bool(re.match(filters.glob(pattern), name)) is matches
