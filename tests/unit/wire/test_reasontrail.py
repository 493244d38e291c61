from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.wire import reasontrail

_WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";"))


@given(
    st.builds(
        reasontrail.Peer,
        pid=st.integers(0, 2**22),
        uid=st.integers(0, 2**32 - 1),
        user=_WORD,
        login=_WORD,
        node=_WORD,
    )
)
def test_who_submitted_is_read_as_it_was_written(peer: reasontrail.Peer) -> None:
    trail = [("gnt:client:x", "y", 1), (reasontrail.PEER, reasontrail.peer_text(peer), 2)]
    assert reasontrail.peer_of(trail) == peer


@given(st.builds(reasontrail.Recovery, cause=_WORD, attempt=st.integers(1, 999), stop=_WORD))
def test_what_the_watcher_said_is_read_as_it_was_written(said: reasontrail.Recovery) -> None:
    trail = [[reasontrail.WATCHER, reasontrail.recovery_text(said), 2], ["gnt:opcode:x", "", 3]]
    assert reasontrail.recovery_of(trail) == said
    assert reasontrail.is_watchers(trail)


def test_only_the_master_daemons_own_word_about_who_submitted_counts() -> None:
    forged = (reasontrail.PEER, "pid=1;uid=0;user=root", 1)
    told = (reasontrail.PEER, "pid=7;uid=1000;user=eve", 2)
    found = reasontrail.peer_of([forged, told, ("gnt:opcode:x", "job=1;index=0", 3)])
    assert found == reasontrail.Peer(7, 1000, "eve")


@pytest.mark.parametrize(
    "trail", [None, 5, "gnt:watcher", [], [5], [["gnt:watcher"]], [["gnt:watcher", "restart", 1]]]
)
def test_of_other_trails_nothing_is_said(trail: Any) -> None:
    assert reasontrail.peer_of(trail) is None
    assert reasontrail.recovery_of(trail) is None


@given(st.lists(st.tuples(st.sampled_from(["gnt:watcher", "gnt:peer"]), st.text(), st.integers())))
def test_no_trail_is_too_strange_to_read(trail: list[tuple[str, str, int]]) -> None:
    reasontrail.peer_of(trail)
    reasontrail.recovery_of(trail)


def test_a_name_cannot_smuggle_anything_in() -> None:
    peer = reasontrail.Peer(7, 1000, "eve;uid=0\n")
    told = reasontrail.peer_text(peer)
    assert told == "pid=7;uid=1000;user=eve_uid=0_"
    assert reasontrail.peer_of([(reasontrail.PEER, told, 1)]) == reasontrail.Peer(
        7, 1000, "eve_uid=0_"
    )
