import pytest

from pyganeti.base import errors
from pyganeti.watcher import surveying, wanted
from pyganeti.wire import storefile

from .conftest import NAME, Node


def test_a_node_is_what_its_files_say(node: Node) -> None:
    found = surveying.standing(node.layout, NAME)
    assert found == wanted.Standing(is_member=True, is_master=True)
    node.say_master("node2.example.com")
    assert surveying.standing(node.layout, NAME) == wanted.Standing(is_member=True)
    node.layout.server_certificate.unlink()
    assert surveying.standing(node.layout, NAME) == wanted.Standing(is_member=False)


def test_candidates_stand_by_where_several_may_lead(node: Node) -> None:
    node.say_master("node2.example.com")
    node.layout.ssconf("master_candidates").write_text(f"node2.example.com\n{NAME}\n")
    assert not surveying.standing(node.layout, NAME).may_lead
    store = storefile.Etcd(endpoints=("http://192.0.2.9:2379",), prefix="/ganeti/x/")
    node.layout.store_file.write_bytes(storefile.encode(store))
    assert surveying.standing(node.layout, NAME).may_lead
    assert not surveying.standing(node.layout, "node3.example.com").may_lead


def test_a_store_that_is_not_legible_is_said(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.layout.store_file.write_bytes(b"\xff")
    assert not surveying.standing(node.layout, NAME).may_lead
    assert "cannot be read" in caplog.text


def test_what_cannot_be_looked_at_raises(node: Node) -> None:
    node.layout.ssconf("master_node").unlink()
    node.layout.ssconf("master_node").mkdir()
    with pytest.raises(errors.Denied):
        surveying.standing(node.layout, NAME)


def test_only_what_is_there_can_be_started(node: Node) -> None:
    node.install(wanted.NODED)
    node.install(wanted.LUXID)
    assert surveying.installed(node.layout) == {wanted.NODED}, (
        "Ganeti's are kept on a machine's own"
    )


def test_what_daemons_are_on_the_path_beside_ours(node: Node) -> None:
    for daemon in (wanted.NODED, wanted.KVMD, wanted.MASTERD, wanted.RAPI):
        node.install(daemon)
    assert surveying.installed(node.layout) == {
        wanted.NODED,
        wanted.KVMD,
        wanted.MASTERD,
        wanted.RAPI,
    }
