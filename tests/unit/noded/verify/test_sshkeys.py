from collections.abc import Sequence
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded.verify import sshkeys

_STATUS: list[sshkeys.NodeStatus] = [
    ("u1", "node1", True, True, True),
    ("u2", "node2", True, True, True),
    ("u3", "node3", False, True, True),
]
_KEYS = {"u1": ["ssh-rsa AAA1"], "u2": ["ssh-rsa AAA2"], "u3": ["ssh-rsa AAA3"]}
_OPEN = ["# people", "ssh-rsa AAA1 root@node1", "ssh-rsa AAA2 root@node2"]


def _judge(
    own: str = "node1",
    status: list[sshkeys.NodeStatus] = _STATUS,
    everybodys: sshkeys.Keys = _KEYS,
    mine: str = "ssh-rsa AAA1 root@node1\n",
    authorized: Sequence[str] = _OPEN,
) -> list[str]:
    return sshkeys.judge(
        own, status, everybodys=everybodys, mine=mine, authorized=authorized, where=("all", "own")
    )


def test_keys_where_they_belong_are_no_worry() -> None:
    assert _judge() == []


def test_a_normal_node_opens_itself_alone() -> None:
    ours = [*_OPEN, "ssh-rsa AAA3 root@node3"]
    assert _judge("node3", mine="ssh-rsa AAA3", authorized=ours) == []
    (worry,) = _judge("node3", mine="ssh-rsa AAA3")
    assert "does not open itself" in worry
    (worry,) = _judge(authorized=ours)
    assert "'node3', no master candidate, opens 'node1'" in worry


def test_each_thing_that_is_wrong_is_said() -> None:
    for changed, words in (
        ({"everybodys": _KEYS | {"u9": ["ssh-rsa X"]}}, "keys of unknown nodes: u9"),
        ({"everybodys": {"u1": _KEYS["u1"], "u3": _KEYS["u3"]}}, "lacks the keys of: u2"),
        ({"mine": "ssh-rsa OTHER"}, "node1:own is not the one in all"),
        ({"everybodys": _KEYS | {"u1": ["ssh-rsa AAA1"] * 2}}, "more than one key of this node"),
        ({"authorized": _OPEN[:2]}, "'node2' does not open 'node1'"),
        ({"own": "node8"}, "Cannot find node information for node 'node8'"),
    ):
        (worry,) = _judge(**changed)
        assert words in worry


def test_offline_nodes_are_asked_nothing_of() -> None:
    status: list[sshkeys.NodeStatus] = [*_STATUS[:1], ("u2", "node2", True, True, False)]
    assert _judge(status=status, everybodys={"u1": _KEYS["u1"]}, authorized=_OPEN[:2]) == []


def test_a_node_that_cannot_become_master_keeps_no_keys() -> None:
    status: list[sshkeys.NodeStatus] = [("u1", "node1", False, False, True)]
    assert _judge(status=status, everybodys={}) == []
    (worry,) = _judge(status=status)
    assert "cannot become master" in worry


def test_a_host_with_two_keys_is_clutter() -> None:
    lines = ["ssh-rsa A root@node1", "ssh-rsa B root@node1", "#ssh-rsa C root@node2", "ssh-rsa D"]
    (worry,) = sshkeys.repeated("node9", {"node1", "node2"}, lines)
    assert "'root@node1' in lines 1, 2" in worry
    assert sshkeys.repeated("node9", {"node2"}, lines) == []


def test_the_files_are_read_where_they_are(tmp_path: Path) -> None:
    places = sshkeys.Places(tmp_path / "all", tmp_path)
    assert "does not exist" in sshkeys.setup(places, "node1", _STATUS, "rsa")[0]
    (tmp_path / "all").write_text("".join(f"{u} {k[0]}\n" for u, k in _KEYS.items()))
    (tmp_path / "id_rsa.pub").write_text("ssh-rsa AAA1 root@node1\n")
    (tmp_path / "authorized_keys").write_text("\n".join(_OPEN))
    assert sshkeys.setup(places, "node1", _STATUS, "rsa") == []
    assert sshkeys.clutter(places, "node1", _STATUS) == []
    with pytest.raises(errors.BadInput, match="of the kind"):
        sshkeys.setup(places, "node1", _STATUS, "../x")
