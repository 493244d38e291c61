"""A snapshot finds things by what people type, and knows what hangs together."""

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as templates
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.network import Network
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table


def _node(number: int, *, master_candidate: bool = False) -> Node:
    address = f"192.0.2.{number}"
    return Node(
        name=f"node{number}.example.com",
        uuid=f"n{number}",
        group="g",
        primary_ip=address,
        secondary_ip=address,
        master_candidate=master_candidate,
    )


def _snapshot() -> Snapshot:
    nodes = (_node(10), _node(2, master_candidate=True), _node(1))
    groups = (NodeGroup(name="default", uuid="g"), NodeGroup(name="empty", uuid="h"))
    drbd = Disk(
        uuid="d1", dev_type=templates.Template.DRBD, logical_id=("n1", "n2", 11000, 0, 0, "s"),
        nodes=("n1", "n2"),
    )  # fmt: skip
    plain = Disk(uuid="d2", dev_type=templates.Template.PLAIN, logical_id=("vg", "lv"))
    return Snapshot(
        cluster=Cluster(uuid="c", cluster_name="c.example.com", master_node="n1",
                        master_ip="192.0.2.9", master_netdev="lo"),
        nodes=Table({node.uuid: node for node in nodes}),
        groups=Table({group.uuid: group for group in groups}),
        instances=Table({
            "i1": Instance(uuid="i1", name="web1.example.com", primary_node="n1", disks=("d1",)),
            "i2": Instance(uuid="i2", name="web2.example.com", primary_node="n2", disks=("d2",)),
            "i3": Instance(uuid="i3", name="web2.example.org", primary_node="n2"),
            "i4": Instance(uuid="i4", name="web10", primary_node="n2"),
            "i5": Instance(uuid="i5", forthcoming=True),
        }),
        disks=Table({"d1": drbd, "d2": plain}),
        networks=Table({"w": Network(uuid="w", name="lan", network="192.0.2.0/24")}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "uuid"),
    [
        ("i1", "i1"),
        ("web1.example.com", "i1"),
        ("web1", "i1"),
        ("WEB1.Example", "i1"),
        ("web2.example.com", "i2"),
        ("web2.example.org", "i3"),
        ("web10", "i4"),
    ],
)
def test_an_instance_is_found_by_uuid_name_and_unique_beginning(typed: str, uuid: str) -> None:
    assert _snapshot().instance(typed).uuid == uuid


@pytest.mark.parametrize("typed", ["", "web", "web3", "eb1", "web1.", "web1.ex", "example.com"])
def test_what_is_no_instance_s_name_is_unknown(typed: str) -> None:
    with pytest.raises(errors.BadInput, match="not known") as caught:
        _snapshot().instance(typed)
    assert caught.value.code == "unknown_entity"


def test_an_ambiguous_beginning_is_refused_with_what_it_may_be() -> None:
    with pytest.raises(errors.BadInput, match=r"web2\.example\.com, web2\.example\.org") as caught:
        _snapshot().instance("web2")
    assert caught.value.code == "unknown_entity"


def test_groups_and_networks_are_not_shortened() -> None:
    snapshot = _snapshot()
    assert snapshot.group("default") is snapshot.group("g")
    assert snapshot.network("lan") is snapshot.network("w")
    with pytest.raises(errors.BadInput, match="Node group 'def' not known"):
        snapshot.group("def")


def test_nodes_come_in_the_order_in_which_people_count() -> None:
    snapshot = _snapshot()
    assert [node.uuid for node in snapshot.nodes_in(snapshot.group("g"))] == ["n1", "n2", "n10"]
    assert snapshot.nodes_in(snapshot.group("h")) == ()


def test_what_hangs_together_is_found_from_both_ends() -> None:
    snapshot = _snapshot()
    web1, web2 = snapshot.instance("i1"), snapshot.instance("i2")
    assert [node.uuid for node in snapshot.nodes_of(web1)] == ["n1", "n2"]
    assert snapshot.secondaries_of(web1) == ("n2",)
    assert snapshot.secondaries_of(web2) == ()
    assert [held.uuid for held in snapshot.instances_on(snapshot.node("node2"))] == [
        "i2",
        "i3",
        "i4",
    ]
    assert snapshot.secondaries_on(snapshot.node("node2")) == (web1,)
    assert snapshot.secondaries_on(snapshot.node("node1")) == ()
    assert snapshot.disks_of(web1) == (snapshot.disks["d1"],)
    assert snapshot.instance_of(snapshot.disks["d2"]) is web2
    assert snapshot.group_of(snapshot.node("node1")).name == "default"


def test_the_master_keeps_a_copy_whether_it_says_so_or_not() -> None:
    snapshot = _snapshot()
    assert snapshot.master.name == "node1.example.com"
    assert [node.uuid for node in snapshot.candidates()] == ["n1", "n2"]


def test_a_disk_that_is_missing_is_damage() -> None:
    snapshot = _snapshot()
    with pytest.raises(errors.Damaged, match=r"disk d9 of instance web does not exist"):
        snapshot.disks_of(Instance(uuid="i", name="web", disks=("d9",)))
