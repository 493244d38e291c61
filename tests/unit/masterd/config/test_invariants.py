"""What must hold is held against the change that breaks it, with the place and a code."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lab import configurations
from pyganeti.base import errors
from pyganeti.masterd.config import draft as drafts
from pyganeti.masterd.config import invariants
from pyganeti.model import disk as templates
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.network import Network
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

replace = msgspec.structs.replace
uuid = configurations.uuid


def _base() -> Snapshot:
    return configurations.real("config-drbd.data")


def _check(before: Snapshot, edit: Callable[[drafts.Draft], object]) -> Snapshot:
    draft = drafts.Draft(before, 5.0)
    edit(draft)
    after = draft.finished()
    invariants.check(before, after, draft.touched)
    return after


@pytest.mark.parametrize("name", ["config.data", "config-drbd.data"])
def test_nothing_is_wrong_with_what_a_real_master_wrote(name: str) -> None:
    assert invariants.verify(configurations.real(name)) == []


def test_nothing_is_wrong_with_the_laboratory_s_clusters() -> None:
    assert invariants.verify(configurations.of(40, 4)) == []


def _instance(**change: Any) -> Callable[[drafts.Draft], object]:
    return lambda draft: draft.put(replace(draft.snapshot.instance("db1"), **change))


def _node(**change: Any) -> Callable[[drafts.Draft], object]:
    return lambda draft: draft.put(replace(draft.snapshot.node("node2"), **change))


def _cluster(**change: Any) -> Callable[[drafts.Draft], object]:
    return lambda draft: draft.put(replace(draft.cluster, **change))


def _group(**change: Any) -> Callable[[drafts.Draft], object]:
    return lambda draft: draft.put(replace(draft.snapshot.group("default"), **change))


def _disk(number: int, **change: Any) -> Callable[[drafts.Draft], object]:
    found = uuid(number, 0)[:8]
    return lambda draft: draft.put(
        replace(
            next(disk for key, disk in draft.snapshot.disks.items() if key[:8] == found), **change
        )
    )


def _put(record: Any) -> Callable[[drafts.Draft], object]:
    return lambda draft: draft.put(record)


def _remove(find: Callable[[Snapshot], Any]) -> Callable[[drafts.Draft], object]:
    return lambda draft: draft.remove(find(draft.snapshot))


_DRBD = Disk(
    uuid="drbd", dev_type=templates.Template.DRBD,
    logical_id=(uuid(1, 1), uuid(2, 2), 11050, 9, 9, "s"),
)  # fmt: skip
_NEW_NODE = Node(
    name="node3", uuid="new", primary_ip="192.0.2.3", secondary_ip="192.0.2.3", group=uuid(20, 20)
)
_BROKEN: list[tuple[str, Callable[[drafts.Draft], object], str, str]] = [
    ("a name twice", _instance(name="web1.example.com"), "already_exists", "instance web1.*other"),
    ("no name", _instance(name=""), "already_exists", "no name"),
    ("a node that is none", _instance(primary_node="x"), "unknown_entity", "primary node 'x'"),
    ("a disk that is none", _instance(disks=("x",)), "unknown_entity", "disk x does not exist"),
    ("another's disk", _instance(disks=(uuid(40, 40),)), "resource_not_unique", "attached more"),
    ("a port twice", _instance(network_port=11002), "resource_not_unique", "port 11002"),
    ("a mirror's port", _instance(network_port=11001), "resource_not_unique", "port 11001"),
    ("a free port", _instance(network_port=11000), "resource_not_unique", "port 11000"),
    ("a state that is none", _instance(admin_state="gone"), "wrong_input", "'gone' is no state"),
    ("nobody's wish", _instance(admin_state_source="cat"), "wrong_input", "'cat' is nobody"),
    ("words for memory", _instance(beparams={"maxmem": "1G"}), "wrong_input", "maxmem cannot be"),
    ("a truth for vcpus", _instance(beparams={"vcpus": True}), "wrong_input", "vcpus cannot be"),
    ("a strange parameter", _instance(beparams={"ram": 1}), "wrong_input", "parameter 'ram'"),
    ("a MAC twice", _instance(nics=(Nic(mac="AA:BB:CC:00:00:01", uuid="n"),)),
     "resource_not_unique", "NIC 0: the MAC address AA:BB:CC:00:00:01"),
    ("a card twice", _instance(nics=(Nic(mac="aa:00:00:00:00:09", uuid=uuid(61, 61)),)),
     "resource_not_unique", "NIC 0: its uuid"),
    ("an address twice", _instance(nics=(Nic(mac="aa:00:00:00:00:09", uuid="n", ip="203.0.113.2",
                                            network=uuid(30, 30)),)),
     "resource_not_unique", r"IP address 203\.0\.113\.2 on br0"),
    ("a network that is none", _instance(nics=(Nic(mac="m", uuid="n", network="x"),)),
     "unknown_entity", "network x does not exist"),
    ("a mode that is none", _instance(nics=(Nic(mac="m", uuid="n", nicparams={"mode": "x"}),)),
     "wrong_input", "'x' is no mode"),
    ("a bridge without name", _instance(nics=(Nic(mac="m", uuid="n", nicparams={"link": ""}),)),
     "wrong_input", "needs a link"),
    ("a node's name twice", _node(name="node1.example.com"), "already_exists", "node node1"),
    ("a node's address twice", _node(secondary_ip="192.0.2.1"), "resource_not_unique",
     r"another node has the address 192\.0\.2\.1"),
    ("a group that is none", _node(group="x"), "unknown_entity", "group 'x' does not exist"),
    ("two roles", _node(offline=True), "wrong_state", "a master candidate and offline at once"),
    ("no candidate", _node(master_capable=False), "wrong_state", "cannot be master"),
    ("a group's parameter", _node(ndparams={"exclusive_storage": True}), "wrong_input",
     "only groups have"),
    ("a wrong ssh port", _node(ndparams={"ssh_port": "22"}), "wrong_input", "ssh_port cannot be"),
    ("no master", _cluster(master_node="x"), "wrong_input", "master 'x' is none"),
    ("a master that is no candidate", _cluster(master_node=uuid(10, 10)), "wrong_input",
     "node10.example.com is no master candidate"),
    ("no hypervisor", _cluster(enabled_hypervisors=()), "wrong_input", "no hypervisor"),
    ("a bare hypervisor", _cluster(enabled_hypervisors=("kvm", "x")), "wrong_input",
     "no parameters for the hypervisor x"),
    ("no template", _cluster(enabled_disk_templates=()), "wrong_input", "no disk template"),
    ("a wrong template", _cluster(enabled_disk_templates=("flopy",)), "wrong_input", "flopy"),
    ("a used port free", _cluster(tcpudp_port_pool=(11001,)), "resource_not_unique", "port 11001"),
    ("a port free twice", _cluster(tcpudp_port_pool=(11000,) * 2), "resource_not_unique", "11000"),
    ("a strange access", _cluster(diskparams={"rbd": {"access": "x"}}), "wrong_input", "access"),
    ("a policy without limits", _cluster(ipolicy={"minmax": []}), "wrong_input", "needs limits"),
    ("a standard out of limits", _cluster(ipolicy={"std": {"cpu-count": 99}}), "wrong_input",
     "outside all its limits"),
    ("a policy of words", _cluster(ipolicy={"vcpu-ratio": "4"}), "wrong_input", "vcpu-ratio"),
    ("a policy's strange key", _cluster(ipolicy={"max": 1}), "wrong_input", "has no max"),
    ("half a limit", _group(ipolicy={"minmax": [{"min": {}}]}), "wrong_input", "a whole min"),
    ("no templates allowed", _group(ipolicy={"disk-templates": []}), "wrong_input", "needs disk"),
    ("a group's name twice", _group(name="away"), "already_exists", "group away"),
    ("a group called by a uuid", _group(name=uuid(1, 1)), "wrong_input", "looks like a uuid"),
    ("a strange policy", _group(alloc_policy="never"), "wrong_input", "'never'"),
    ("a group's lost network", _group(networks={"x": {}}), "unknown_entity", "network x"),
    ("a disk's mode", _disk(41, mode="x"), "wrong_input", "'x' is no mode"),
    ("a disk below nothing", _disk(41, size=-1), "wrong_input", "-1 MiB"),
    ("a disk's lost node", _disk(41, nodes=("x",)), "unknown_entity", "node x"),
    ("a disk's wrong place", _disk(41, iv_name="disk/7"), "wrong_input", "called 'disk/7'"),
    ("a device number twice", _put(replace(_DRBD, logical_id=(*_DRBD.logical_id[:3], 0, 9, "s"))),
     "resource_not_unique", "device number"),
    ("a mirror's port twice", _put(replace(_DRBD, logical_id=(*_DRBD.logical_id[:2], 11001, 9, 9))),
     "resource_not_unique", "port 11001"),
    ("a network's name twice", _put(Network(name="lan", uuid="w", network="10.0.0.0/8")),
     "already_exists", "network lan"),
    ("no range", _put(Network(name="w", uuid="w", network="10.0.0.0/33")), "wrong_input", "range"),
    ("reservations too short", _put(Network(name="w", uuid="w", network="10.0.0.0/30",
                                            reservations="000")), "wrong_input", "do not fit"),
    ("a rule below zero", _put(FilterRule(uuid="f", priority=-1)), "wrong_input", "below zero"),
    ("a uuid of something else", _put(NodeGroup(name="more", uuid=uuid(50, 50))),
     "resource_not_unique", "something else has its uuid"),
    ("the cluster's uuid", _put(replace(_NEW_NODE, uuid=uuid(99, 99))), "resource_not_unique",
     "something else has its uuid"),
    ("a node under instances", _remove(lambda held: held.node("node2")), "unknown_entity",
     "node 0000000.*does not exist"),
    ("the master", _remove(lambda held: held.node("node1")), "unknown_entity", "does not exist"),
    ("a group under nodes", _remove(lambda held: held.group("away")), "unknown_entity", "node10"),
    ("a network in use", _remove(lambda held: held.network("lan")), "unknown_entity",
     "web1.*NIC 0: its network"),
    ("a disk in use", _remove(lambda held: held.disks[uuid(41, 41)]), "unknown_entity",
     "db1.*does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "code", "words"), [case[1:] for case in _BROKEN], ids=[case[0] for case in _BROKEN]
)
def test_a_change_that_breaks_something_is_refused(
    edit: Callable[[drafts.Draft], object], code: str, words: str
) -> None:
    with pytest.raises(errors.BadInput, match=words) as caught:
        _check(_base(), edit)
    assert caught.value.code == code


@pytest.mark.parametrize("edit", [case[1] for case in _BROKEN], ids=[case[0] for case in _BROKEN])
def test_a_verification_finds_what_a_change_would_be_refused_for(
    edit: Callable[[drafts.Draft], object],
) -> None:
    draft = drafts.Draft(_base(), 5.0)
    edit(draft)
    found = [finding for finding in invariants.verify(draft.finished()) if finding.is_hard]
    assert found


def test_what_was_wrong_before_does_not_stop_other_changes() -> None:
    draft = drafts.Draft(_base(), 5.0)
    _instance(name="web1.example.com", admin_state="gone")(draft)
    wrong = draft.finished()
    first, second = (held for held in wrong.instances.values() if held.name == "web1.example.com")
    _check(wrong, _node(tags=("a",)))
    _check(wrong, lambda draft: draft.put(replace(first, tags=("a",))))
    _check(wrong, lambda draft: draft.put(replace(second, name="db1.example.com")))
    with pytest.raises(errors.BadInput, match="'nowhere' does not exist"):
        _check(wrong, lambda draft: draft.put(replace(second, primary_node="nowhere")))


def test_changes_that_make_sense_are_made() -> None:
    after = _check(_base(), _put(_NEW_NODE))
    after = _check(after, _put(Instance(uuid="i", name="more", primary_node="new")))
    after = _check(after, _put(Instance(uuid="f", forthcoming=True)))
    after = _check(after, lambda draft: draft.put(_DRBD))
    after = _check(after, lambda draft: draft.remove_instance(draft.snapshot.instance("web1")))
    after = _check(after, lambda draft: draft.remove(draft.snapshot.disks["drbd"]))
    assert "more" in {held.name for held in after.instances.values()}
    assert [str(finding) for finding in invariants.verify(after)] == [
        "cluster cluster.example.com: there are 2 master candidates, and should be 3"
    ]


def test_what_is_only_worth_telling_stops_nobody() -> None:
    before = _base()
    after = _check(before, _node(master_candidate=False))
    after = _check(after, _cluster(highest_used_port=11000, master_ip="192.0.2.2"))
    found = invariants.verify(after)
    assert not any(finding.is_hard for finding in found)
    assert {str(finding).split(": ")[1] for finding in found} == {
        "there are 1 master candidates, and should be 2",
        "the highest port in use is 11003, not 11000",
        "its address 192.0.2.2 is the cluster's",
    }


def test_an_object_in_the_wrong_place_is_found() -> None:
    base = _base()
    node = base.node("node2")
    misplaced = replace(base, nodes=base.nodes.changed({"elsewhere": node, node.uuid: None}))
    assert "node elsewhere: it says that its uuid is " + node.uuid in map(
        str, invariants.verify(misplaced)
    )
    twice = replace(
        base, groups=base.groups.changed({node.uuid: NodeGroup(name="x", uuid=node.uuid)})
    )
    assert any("something else has its uuid" in str(found) for found in invariants.verify(twice))
