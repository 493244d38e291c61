"""An edit raises the numbers that Ganeti raises, once each, and keeps what belongs together."""

import json
from typing import Any

import msgspec
import pytest

from lab import configurations
from pyganeti.base import errors
from pyganeti.masterd.config import draft as drafts
from pyganeti.masterd.config import store
from pyganeti.model import disk as templates
from pyganeti.model.config import addresses, datafile, entries
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import noderpc

_NOW = 1_800_000_000.5
replace = msgspec.structs.replace


def _draft(before: Snapshot | None = None) -> drafts.Draft:
    return drafts.Draft(before or configurations.of(3), _NOW)


def _raised(draft: drafts.Draft) -> dict[str, tuple[int, bool]]:
    """Return by how much numbers rose, and whether the times did, where either changed."""
    found = {}
    before, after = draft.before, draft.finished()
    pairs: list[tuple[Any, Any]] = [(before, after), (before.cluster, after.cluster)]
    for section in drafts.SECTIONS.values():
        if section == "filters":  # they have no numbers
            continue
        old = getattr(before, section)
        pairs += [(old[key], new) for key, new in getattr(after, section).items() if key in old]
    for old, new in pairs:
        rise = (new.serial_no - old.serial_no, new.mtime == _NOW)
        if rise != (0, False):
            found[type(new).__name__] = rise
    return found


def test_an_instance_that_changes_is_raised_alone() -> None:
    draft = _draft()
    put = draft.put(replace(draft.snapshot.instance("inst1"), admin_state="down"))
    assert (put.serial_no, put.mtime) == (2, _NOW)
    assert draft.snapshot.instance("inst1") is put
    assert _raised(draft) == {"Snapshot": (1, True), "Instance": (1, True)}


def test_an_edit_raises_each_number_once() -> None:
    draft = _draft()
    for state in ("down", "offline", "up"):
        draft.put(replace(draft.snapshot.instance("inst1"), admin_state=state, tags=(state,)))
        node = draft.snapshot.node("node2")
        draft.put(replace(node, tags=(state,)))
    assert _raised(draft) == {
        "Snapshot": (1, True), "Instance": (1, True), "Node": (1, True), "Cluster": (1, True),
    }  # fmt: skip


def test_a_node_that_changes_raises_the_cluster_too() -> None:
    draft = _draft()
    draft.put(replace(draft.snapshot.node("node2"), drained=True))
    assert _raised(draft) == {"Snapshot": (1, True), "Node": (1, True), "Cluster": (1, True)}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("instance", {"primary_node": configurations.uuid(3, 2)}),
        ("disk", {"logical_id": ("loop", "/elsewhere")}),
        ("disk", {"nodes": (configurations.uuid(3, 2),)}),
        ("cluster", {"candidate_certs": {"n": "AA:BB"}}),
    ],
)
def test_what_is_quiet_raises_the_configuration_alone(kind: str, change: dict[str, Any]) -> None:
    draft = _draft()
    record: Any = {
        "instance": draft.snapshot.instance("inst1"),
        "disk": draft.snapshot.disks[configurations.uuid(5, 1)],
        "cluster": draft.cluster,
    }[kind]
    draft.put(replace(record, **change))
    assert _raised(draft) == {"Snapshot": (1, True)}


def test_a_new_name_raises_the_cluster_and_not_the_instance() -> None:
    draft = _draft()
    draft.put(replace(draft.snapshot.instance("inst1"), name="other.example.com"))
    assert _raised(draft) == {"Snapshot": (1, True), "Cluster": (1, False)}


def test_a_group_that_comes_and_one_that_goes_raise_the_cluster_s_number() -> None:
    draft = _draft()
    put = draft.put(NodeGroup(name="more", uuid="more"))
    assert (put.serial_no, put.ctime, put.mtime) == (1, _NOW, _NOW)
    assert _raised(draft) == {"Snapshot": (1, True), "Cluster": (1, False)}
    draft = _draft(draft.finished())
    draft.remove(draft.snapshot.group("more"))
    assert _raised(draft)["Cluster"] == (1, False)
    assert "more" not in draft.snapshot.groups


def test_an_instance_that_comes_raises_nothing_and_one_that_goes_the_cluster() -> None:
    draft = _draft()
    draft.put(Instance(uuid="i", name="more", primary_node=configurations.uuid(3, 1)))
    assert _raised(draft) == {"Snapshot": (1, True)}
    draft = _draft(draft.finished())
    draft.remove(draft.snapshot.instance("more"))
    assert _raised(draft) == {"Snapshot": (1, True), "Cluster": (1, True)}


def test_what_is_put_as_it_was_changes_nothing() -> None:
    draft = _draft()
    instance = draft.snapshot.instance("inst1")
    assert draft.put(replace(instance)) is instance
    assert draft.put(replace(draft.cluster)) is draft.before.cluster
    assert not draft.is_changed
    draft.put(FilterRule(uuid="f", priority=3))
    assert draft.is_changed


def test_a_touch_raises_what_has_not_changed() -> None:
    draft = _draft()
    draft.touch(draft.snapshot.group("default"))
    assert _raised(draft) == {"Snapshot": (1, True), "NodeGroup": (1, True)}


def test_an_object_read_before_somebody_s_change_is_refused() -> None:
    draft = _draft()
    old = draft.snapshot.instance("inst1")
    draft.put(replace(old, tags=()))
    later = _draft(draft.finished())
    with pytest.raises(store.Conflict, match=r"inst1.*changed since it was read"):
        later.put(replace(old, admin_state="down"))


def test_what_came_and_went_in_one_edit_was_never_there() -> None:
    draft = _draft()
    instance = draft.put(Instance(uuid="i", name="more", primary_node=configurations.uuid(3, 1)))
    draft.remove(instance)
    assert "i" not in draft.snapshot.instances
    assert draft.touched == {"instances": {}}
    with pytest.raises(errors.BadInput, match="not in the configuration"):
        draft.remove(instance)


def test_disks_are_named_by_their_places() -> None:
    draft = _draft()
    disk = Disk(uuid="new", dev_type=templates.Template.FILE, logical_id=("loop", "/new"))
    draft.attach_disk(draft.snapshot.instance("inst1"), disk, 0)
    assert [one.iv_name for one in draft.snapshot.disks_of(draft.snapshot.instance("inst1"))] == [
        "disk/0",
        "disk/1",
    ]
    assert draft.snapshot.instance("inst1").disks[0] == "new"
    assert _raised(draft) == {"Snapshot": (2, True), "Instance": (1, True)}
    left = draft.detach_disk(draft.snapshot.instance("inst1"), draft.snapshot.disks["new"])
    assert left.disks == (configurations.uuid(5, 1),)
    assert draft.snapshot.disks[left.disks[0]].iv_name == "disk/0"
    assert "new" in draft.snapshot.disks
    with pytest.raises(errors.BadInput, match="no place 2"):
        draft.attach_disk(left, disk, 2)
    with pytest.raises(errors.BadInput, match="not a disk of"):
        draft.detach_disk(left, disk)


def test_an_instance_that_goes_takes_its_disks_and_gives_back_ports_and_addresses() -> None:
    before = configurations.real("config-drbd.data")
    draft = _draft(before)
    draft.remove_instance(before.instance("web1"))
    after = draft.finished()
    assert "web1.example.com" not in {held.name for held in after.instances.values()}
    assert len(after.disks) == len(before.disks) - 1
    assert set(after.cluster.tcpudp_port_pool) == {11000, 11001, 11002}
    assert not addresses.is_taken(after.network("lan"), "203.0.113.2")
    assert addresses.is_taken(after.network("lan"), "203.0.113.1")
    assert _raised(draft)["Cluster"] == (1, True)


_INSTANCE = "457a2e05-ad39-4309-a8a7-8d45452293f3"


def _recorded() -> list[Snapshot]:
    """Return what a real master sent to a candidate while it added, started and moved one."""
    bodies = json.loads((configurations.GOLDEN.parent / "rpc/upload_file_single.json").read_text())
    return [entries.to_snapshot(datafile.parse(noderpc.decode_blob(body[1]))) for body in bodies]


@pytest.mark.parametrize("number", range(1, 6))
def test_numbers_rise_as_they_rose_in_a_real_master(number: int) -> None:
    before, after = _recorded()[number - 1 : number + 1]
    wanted = after.instances[_INSTANCE]
    draft = drafts.Draft(before, after.mtime)
    if number == 1:
        draft.put(replace(wanted, serial_no=77))
    elif number == 2:
        (disk,) = after.disks.values()
        draft.attach_disk(draft.snapshot.instances[_INSTANCE], disk)
    else:
        present = draft.snapshot.instances[_INSTANCE]
        numbers = {name: getattr(present, name) for name in ("serial_no", "mtime")}
        draft.put(replace(wanted, **numbers))
    made = draft.finished()
    assert made.serial_no == after.serial_no
    assert made.cluster == after.cluster
    instance = made.instances[_INSTANCE]
    assert replace(instance, ctime=wanted.ctime, mtime=wanted.mtime) == wanted
    has_risen = wanted.mtime != getattr(before.instances.get(_INSTANCE), "mtime", None)
    assert (instance.mtime == after.mtime) is has_risen
    for held, real in zip(made.disks.values(), after.disks.values(), strict=True):
        assert replace(held, ctime=real.ctime, mtime=real.mtime) == real


def test_ports_and_macs_are_free_within_an_edit() -> None:
    draft = _draft(configurations.of(3))
    first, second = draft.allocate_port(), draft.allocate_port()
    assert (first, second) == (11004, 11005)
    draft.release_port(first)
    assert draft.allocate_port() == first
    assert _raised(draft) == {"Snapshot": (1, True)}
    draws = iter([1, 2, 9])
    assert draft.free_mac(lambda _: next(draws)) == "aa:00:00:00:00:09"


def test_addresses_of_a_network_are_taken_and_given_back() -> None:
    lan = configurations.real("config-drbd.data").network("lan")
    assert addresses.free(lan) == "203.0.113.3"
    taken = addresses.reserve(lan, "203.0.113.3")
    assert addresses.free(taken) == "203.0.113.4"
    with pytest.raises(errors.BadInput, match=r"203\.0\.113\.1 of network lan is in use"):
        addresses.reserve(taken, "203.0.113.1")
    assert addresses.release(taken, "203.0.113.3") == lan
    assert addresses.reserve(lan, "192.0.2.1") is lan
    full = replace(lan, reservations="1" * 8)
    with pytest.raises(errors.Exhausted, match="no address of network lan"):
        addresses.free(full)
    with pytest.raises(errors.Exhausted):
        addresses.free(replace(lan, reservations=None, ext_reservations=None))
