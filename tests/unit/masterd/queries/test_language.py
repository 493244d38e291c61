import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.masterd.queries import cells, language, predicates
from pyganeti.wire import luxi, luxierrors

ROW = {
    "name": (0, "web1.example.com"),
    "memory": (0, 128),
    "load": (0, 1.5),
    "up": (0, True),
    "tags": (0, ["a", "b"]),
    "ports": (0, [1, 2]),
    "since": (0, [1700000000, 5]),
    "none": cells.UNAVAILABLE,
}
COMPARED = {"name": cells.Compared.AS_HOST, "since": cells.Compared.AS_SECONDS}


def source(name: str) -> predicates.Source | None:
    if name == "later":
        return predicates.Source(None, cells.Compared.AS_IT_IS)
    if name not in ROW:
        return None
    return predicates.Source(lambda row: row[name], COMPARED.get(name, cells.Compared.AS_IT_IS))


def holds(condition: Any) -> bool | None:
    return predicates.compiled(language.parse(condition), source)(ROW)


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        (None, True),
        (["=", "name", "web1.example.com"], True),
        (["==", "name", "web1"], True),
        (["==", "name", "web1.example"], True),
        (["==", "name", "web"], False),
        (["==", "name", "web1."], False),
        (["==", "name", "example.com"], False),
        (["!=", "name", "web1"], False),
        (["!=", "name", "web2"], True),
        (["<", "name", "web2"], True),
        ([">", "name", "web2"], False),
        (["<", "memory", 129], True),
        (["<=", "memory", 128], True),
        ([">", "memory", 128], False),
        ([">=", "memory", 128], True),
        (["=", "memory", 128.0], True),
        (["=", "load", 1], False),
        ([">", "load", 1], True),
        (["?", "up"], True),
        (["!", ["?", "up"]], False),
        (["=~", "name", "^web[0-9]"], True),
        (["=~", "name", "EXAMPLE"], False),
        (["=~", "name", "(?i)EXAMPLE"], True),
        (["=[]", "tags", "a"], True),
        (["=[]", "tags", "c"], False),
        (["=[]", "ports", 2], True),
        (["<", "since", 1700000001], True),
        (["=", "since", 1700000000], True),
        (["&"], True),
        (["|"], False),
        (["&", ["?", "up"], ["<", "memory", 5]], False),
        (["|", ["?", "up"], ["<", "memory", 5]], True),
        (["|", ["=", "name", "x"], ["=", "name", "web1"]], True),
        (["|", ["=", "name", "x"], ["=", "memory", 128]], True),
        (["|", ["=", "name", "x"], ["=", "name", "y"]], False),
        (["|", None, ["=", "name", "y"]], True),
        (["?", "none"], True),
        (["<", "none", 5], True),
        (["!", ["?", "none"]], False),
        (["?", "later"], None),
        (["!", ["?", "later"]], None),
        (["&", ["?", "later"], ["?", "up"]], None),
        (["&", ["?", "later"], ["!", ["?", "up"]]], False),
        (["|", ["?", "later"], ["?", "up"]], True),
        (["|", ["?", "later"], ["!", ["?", "up"]]], None),
    ],
)
def test_every_operator_says_what_it_means(condition: Any, answer: bool | None) -> None:  # noqa: FBT001
    assert holds(condition) is answer


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (5, "expected array"),
        ([], "expected array"),
        ([5], "expected array"),
        ({"a": 1}, "expected array"),
        (["%", "name", "x"], "Unknown filter operand '%'"),
        (["?"], r"expected \[fieldname\] but got \[\]"),
        (["?", 5], r"expected \[fieldname\]"),
        (["!", ["?", "up"], ["?", "up"]], r"expected \[filter\]"),
        (["=", "name"], r"expected \[fieldname, value\]"),
        (["=", "name", "x", "y"], r"expected \[fieldname, value\]"),
        (["=", 5, "x"], r"expected \[fieldname, value\]"),
        (["=", "name", None], "expecting string or integer, got null"),
        (["=", "up", True], "expecting string or integer, got true"),
        (["=", "load", 1.5], "got a fractional value"),
        (["<", "name", ["x"]], "expecting string or integer"),
        (["=~", "name", "("], "regular expression"),
        (["=~", "name", 5], "regular expression"),
        (["=~", "name", "a{99999999999999999999}"], "regular expression"),
        (["&", "name"], "expected array"),
    ],
)
def test_what_is_no_condition_is_refused(condition: Any, why: str) -> None:
    with pytest.raises(luxi.Unreadable, match=why):
        language.parse(condition)


def test_a_condition_nested_too_deeply_is_refused() -> None:
    condition: Any = ["?", "up"]
    for _ in range(900):
        condition = ["!", condition]
    with pytest.raises(luxi.Unreadable, match="nested too deeply"):
        language.parse(condition)


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (["?", "name"], "in boolean context"),
        (["=", "name", 5], "Invalid types in comparison"),
        (["=", "memory", "x"], "Invalid types in comparison"),
        (["<", "name", 5], "Invalid types in comparison"),
        (["<", "up", 5], "Invalid types in comparison"),
        (["=", "up", 1], "Invalid types in comparison"),
        (["|", ["=", "name", 5], ["=", "name", "x"]], "Invalid types in comparison"),
        (["=~", "memory", "1"], "expecting string"),
    ],
)
def test_a_value_of_another_type_than_the_fields_is_told(condition: Any, why: str) -> None:
    with pytest.raises(luxierrors.WrongParameter, match=why):
        holds(condition)


@pytest.mark.parametrize(
    ("condition", "why"),
    [(["=[]", "name", "x"], "Unable to read list"), (["=[]", "tags", 5], "Unable to read Integer")],
)
def test_what_is_no_such_list_is_told(condition: Any, why: str) -> None:
    with pytest.raises(errors.Failure, match=why):
        holds(condition)


def test_a_field_that_there_is_not_is_told_before_any_row_is_seen() -> None:
    with pytest.raises(luxierrors.WrongParameter, match="Can't find field named 'zz'"):
        predicates.compiled(language.parse(["&", ["?", "zz"]]), source)


def test_there_is_an_end_to_conditions() -> None:
    many = ["|", *(["=~", "name", f"^{number}$"] for number in range(6000))]
    with pytest.raises(errors.BadInput, match="a filter may have"):
        predicates.compiled(language.parse(many), source)


def test_any_number_of_names_is_looked_up_together() -> None:
    many = ["|", *(["=", "name", f"db{number}"] for number in range(50_000))]
    assert holds(many) is False
    assert holds([*many, ["=", "name", "web1"]]) is True


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (None, []),
        (["|", ["=", "name", "a"], ["==", "name", "b"]], ["a", "b"]),
        (["=", "name", "a"], ["a"]),
        (["|", ["|", ["=", "name", "a"]], None], ["a"]),
        (["=", "uuid", "a"], None),
        (["&", ["=", "name", "a"]], None),
        (["|", ["=", "name", "a"], ["=", "uuid", "a"]], None),
        (["!=", "name", "a"], None),
    ],
)
def test_a_list_of_names_is_recognised(condition: Any, names: list[str] | None) -> None:
    assert language.requested(language.parse(condition), "name") == names


def test_the_fields_that_a_condition_speaks_of_are_known() -> None:
    condition = [
        "&",
        ["?", "a"],
        ["|", ["=", "b", 1], ["!", ["=~", "c", "x"]], None],
        ["=[]", "d", 1],
    ]
    assert list(language.fields_of(language.parse(condition))) == ["a", "b", "c", "d"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=20,
)
OPERATORS = st.sampled_from(
    ["&", "|", "!", "?", "=", "==", "!=", "<", ">", "<=", ">=", "=~", "=[]"]
)
CONDITIONS = st.recursive(
    st.tuples(OPERATORS, st.sampled_from([*ROW, "later", "zz"]), JSON).map(list) | JSON,
    lambda inner: st.builds(
        lambda operator, parts: [operator, *parts],
        st.sampled_from(["&", "|", "!"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


@given(CONDITIONS)
def test_anything_is_answered_or_refused_with_words(condition: Any) -> None:
    with contextlib.suppress(errors.Failure):
        assert holds(condition) in {True, False, None}
