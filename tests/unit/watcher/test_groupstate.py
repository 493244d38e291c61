import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.watcher import groupstate

_NOW = 1_700_000_000.0
_TRIED = {"restart_count": 2, "restart_when": _NOW - 60.5}
_GANETIS = {
    "instance": {
        "web1": _TRIED,
        "web2": {"restart_count": 5, "restart_when": _NOW - 9 * 3600},
        "gone": {"restart_count": 1, "restart_when": _NOW},
    },
    "node": {"node1": {"bootid": "aaa"}, "node2": {"bootid": "bbb"}},
}


def _decoded(value: object) -> groupstate.GroupState:
    return groupstate.GroupState.decode(json.dumps(value).encode())


def test_a_node_with_another_boot_id_was_rebooted() -> None:
    state = _decoded(_GANETIS)
    told = {"node1": "aaa", "node2": "ccc", "node3": "ddd", "node4": None}
    assert state.rebooted(told) == ["node2", "node3"]
    state.remember("node2", "ccc")
    state.remember("node3", "ddd")
    assert groupstate.GroupState.decode(state.encode()).rebooted(told) == []


def test_what_ganetis_watcher_counts_is_kept_for_as_long_as_it_would() -> None:
    state = _decoded(_GANETIS | {"more": 1})
    state.forget({"node1"}, {"web1", "web2"}, _NOW)
    assert json.loads(state.encode()) == {
        "instance": {"web1": _TRIED},
        "node": {"node1": {"bootid": "aaa"}},
        "more": 1,
    }


@pytest.mark.parametrize("content", [b"[]", b"7", b"{", b"\xff", b'"node"', b"nul"])
def test_what_is_not_of_that_form_is_damaged(content: bytes) -> None:
    with pytest.raises(errors.Damaged):
        groupstate.GroupState.decode(content)


_ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, True, 7, "x", [], {}, ["bootid"], {"bootid": {}}, {"node1": []}]
)
_ENTRY = _ODD | st.dictionaries(st.sampled_from(["bootid", "restart_when"]), _ODD, max_size=2)
_ENTRIES = _ODD | st.dictionaries(st.sampled_from(["node1", "web1"]), _ENTRY, max_size=2)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["node", "instance", "other"]), _ENTRIES, max_size=3))
def test_garbage_below_the_top_is_left_out(said: dict[str, object]) -> None:
    state = _decoded(said)
    state.forget({"node1"}, {"web1"}, _NOW)
    state.remember("node1", "aaa")
    again = groupstate.GroupState.decode(state.encode())
    assert again.boot_id("node1") == "aaa"
    assert again.rebooted({"node1": "aaa"}) == []


def test_an_empty_file_says_nothing() -> None:
    assert groupstate.GroupState.decode(b"").rebooted({"node1": "aaa"}) == ["node1"]
