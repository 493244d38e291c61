import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.masterd.election import voting

WON, OPEN, LOST = voting.Outcome.WON, voting.Outcome.OPEN, voting.Outcome.LOST


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [
        ({"a": "a"}, WON),
        ({"a": None}, OPEN),
        ({"a": "b"}, LOST),
        ({"a": "a", "b": "a"}, WON),
        ({"a": "a", "b": None}, OPEN),
        ({"a": "a", "b": "b"}, LOST),
        ({"a": "a", "b": "a", "c": None}, WON),
        ({"a": "a", "b": None, "c": None}, OPEN),
        ({"a": "a", "b": "b", "c": None}, OPEN),
        ({"a": "a", "b": "b", "c": "b"}, LOST),
        ({"a": "a", "b": "a", "c": "b", "d": "b"}, LOST),
        ({}, LOST),
    ],
)
def test_more_than_half_of_all_nodes_decide(
    votes: dict[str, str | None], outcome: voting.Outcome
) -> None:
    assert voting.count("a", votes).outcome is outcome


def test_a_count_is_told_in_words() -> None:
    tally = voting.count("a", {"a": "a", "b": "x", "c": None, "d": "x"})

    assert tally.describe() == ("1 of 4 nodes say that a is the master; 2 say x; no answer from c")


VOTES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2), st.sampled_from(["a", "b", None]), max_size=9
)


@given(VOTES)
def test_two_candidates_never_both_win(votes: dict[str, str | None]) -> None:
    outcomes = [voting.count(name, votes).outcome for name in ("a", "b")]

    assert outcomes.count(WON) <= 1


@given(VOTES, st.sampled_from(["a", "b"]))
def test_open_means_that_the_silent_ones_decide(votes: dict[str, str | None], said: str) -> None:
    before = voting.count("a", votes).outcome
    after = voting.count("a", {name: vote or said for name, vote in votes.items()}).outcome

    assert after is not OPEN
    if before is not OPEN:
        assert after is before
