"""What nodes are told of a condition: never less than it needs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.masterd.queries import cells, language, predicates, stopfilter
from pyganeti.model.cause import Cause

NAMES = ("web", "web.a", "web.a.example", "webx", "db.b.example")
CAUSES = ("killed", "crashed", "boredom")
Row = dict[str, Any]

rows = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "node": st.sampled_from(("node1.a", "node2.a", "node1")),
        "cause": st.sampled_from(CAUSES[:2]),
        "stopped": st.integers(0, 9),
        "why": st.just("x"),
    }
)
leaves = st.one_of(
    st.tuples(st.just("=="), st.just("name"), st.sampled_from(NAMES)),
    st.tuples(st.just("=="), st.just("node"), st.sampled_from(("node1", "node2.a", "n"))),
    st.tuples(st.just("=="), st.just("cause"), st.sampled_from(CAUSES)),
    st.tuples(st.sampled_from(("<", "<=", ">", ">=")), st.just("stopped"), st.integers(0, 9)),
    st.tuples(st.just("=~"), st.just("why"), st.sampled_from(("x", "y"))),
).map(list)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: ["&", *parts]),
        st.lists(inner, max_size=3).map(lambda parts: ["|", *parts]),
        inner.map(lambda part: ["!", part]),
    ),
    max_leaves=6,
)


def holds(condition: language.Condition, row: Row) -> bool:
    def source(field: str) -> predicates.Source:
        compared = cells.Compared.AS_HOST if field in {"name", "node"} else cells.Compared.AS_IT_IS
        return predicates.Source(lambda row: (cells.NORMAL, row[field]), compared)

    return predicates.compiled(condition, source)(row) is True


def is_told(narrow: stopfilter.Narrow, row: Row) -> bool:
    return (
        stopfilter.is_among(row["name"], narrow.hosts)
        and stopfilter.is_among(row["node"], narrow.nodes)
        and (narrow.causes is None or row["cause"] in narrow.causes)
        and (narrow.since is None or row["stopped"] >= narrow.since)
        and (narrow.until is None or row["stopped"] <= narrow.until)
    )


@given(conditions, rows)
def test_nothing_is_left_out_for_which_a_condition_holds(described: Any, row: Row) -> None:
    condition = language.parse(described)
    if holds(condition, row):
        assert is_told(stopfilter.narrowed(condition), row)


@pytest.mark.parametrize(
    ("described", "narrow"),
    [
        (None, stopfilter.Narrow()),
        (["=", "name", "web"], stopfilter.Narrow(hosts=frozenset({"web"}))),
        (
            ["&", ["|", ["=", "name", "a"], ["=", "name", "b"]], [">=", "stopped", 7]],
            stopfilter.Narrow(hosts=frozenset({"a", "b"}), since=7.0),
        ),
        (
            ["&", ["=", "cause", "killed"], ["<", "recent", 3], ["=~", "why", "x"]],
            stopfilter.Narrow(causes=frozenset({Cause.KILLED}), most=3),
        ),
        (["&", ["<=", "recent", 3], ["<", "recent", 9]], stopfilter.Narrow(most=4)),
        (["|", ["=", "name", "a"], ["=", "cause", "killed"]], stopfilter.Narrow()),
        (["&", ["<", "stopped", 7], ["<=", "stopped", 5]], stopfilter.Narrow(until=5.0)),
        (["|", ["<", "stopped", 7], ["<=", "stopped", 5]], stopfilter.Narrow(until=7.0)),
        (["!", ["=", "name", "a"]], stopfilter.Narrow()),
        (["=", "cause", "boredom"], stopfilter.Narrow()),
        (["|", *(["=", "name", f"n{n}"] for n in range(501))], stopfilter.Narrow()),
    ],
)
def test_what_nodes_can_use_is_told_them(described: Any, narrow: stopfilter.Narrow) -> None:
    assert stopfilter.narrowed(language.parse(described)) == narrow
