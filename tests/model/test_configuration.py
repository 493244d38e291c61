"""Whatever edits come: what is looked at for a change finds what a look at everything would find.

And what is in the file is what is in memory, numbers rise, and indexes carried along are right.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import configurations
from pyganeti.base import errors
from pyganeti.masterd.config import draft as drafts
from pyganeti.masterd.config import invariants
from pyganeti.masterd.config.store import Conflict
from pyganeti.model import disk as templates
from pyganeti.model.config import codec, datafile, entries, keys
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.network import Network
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table

replace = msgspec.structs.replace
Edit = Callable[[drafts.Draft], object]

uuid = configurations.uuid
_NAMES = st.sampled_from(["a.example.com", "b.example.com", "inst1.example.com", "c"])
_NODES = st.integers(1, 5).map(lambda number: uuid(3, number))
_DISKS = st.lists(st.integers(1, 4).map(lambda number: uuid(5, number)), max_size=3, unique=True)
_PORTS = st.sampled_from([11000, 11001, 11002, 11009])
_ADDRESSES = st.integers(1, 6).map(lambda number: f"192.0.2.{number}")
_NICS = st.builds(
    lambda mac, card, ip, network: Nic(
        mac=f"aa:00:00:00:00:{mac:02x}", uuid=uuid(6, card), ip=ip, network=network
    ),
    st.integers(1, 6), st.integers(1, 6), st.none() | _ADDRESSES,
    st.sampled_from([None, None, "net0", "net1"]),
)  # fmt: skip
_MIRRORS = st.builds(
    lambda nodes, port, minors: (*nodes, port, *minors, "secret"),
    st.tuples(_NODES, _NODES), _PORTS, st.tuples(st.integers(0, 2), st.integers(0, 2)),
)  # fmt: skip


def _one_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return what changes one field, whichever."""
    return st.one_of(
        *(st.builds(lambda value, name=name: {name: value}, of) for name, of in fields.items())
    )


_CHANGES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "instances": _one_of(
        name=_NAMES, primary_node=_NODES, disks=_DISKS.map(tuple),
        nics=st.lists(_NICS, max_size=2).map(tuple), network_port=st.none() | _PORTS,
        admin_state=st.sampled_from(["up", "down", "odd"]),
    ),
    "nodes": _one_of(
        name=_NAMES, primary_ip=_ADDRESSES, group=st.sampled_from(["group0", uuid(2, 1)]),
        drained=st.booleans(), master_candidate=st.booleans(),
    ),
    "disks": st.one_of(
        _one_of(iv_name=st.sampled_from(["disk/0", "disk/1"]), size=st.integers(-1, 2)),
        st.builds(
            lambda mirror: {"dev_type": templates.Template.DRBD, "logical_id": mirror}, _MIRRORS
        ),
    ),
    "groups": _one_of(name=_NAMES, networks=st.sampled_from([{}, {"net0": {}}])),
    "networks": _one_of(name=_NAMES, network=st.sampled_from(["10.0.0.0/24", "nonsense"])),
}  # fmt: skip
_NEW: dict[str, list[Any]] = {
    "instances": [Instance(uuid="new", name="new", primary_node=uuid(3, 1))],
    "nodes": [
        Node(uuid=uuid(3, 5), name="node5", primary_ip="192.0.2.5", secondary_ip="192.0.2.5",
             group=uuid(2, 1)),
    ],
    "disks": [Disk(uuid=uuid(5, 4), dev_type=templates.Template.FILE)],
    "groups": [NodeGroup(uuid="group0", name="more")],
    "networks": [
        Network(uuid="net0", name="net0", network="10.0.0.0/24"),
        Network(uuid=uuid(4, 1), name="an instance's uuid", network="10.0.0.0/24"),
    ],
}  # fmt: skip


def _changing(section: str, place: int, change: dict[str, Any]) -> Edit:
    def edit(draft: drafts.Draft) -> None:
        held = list(getattr(draft.snapshot, section).values())
        if held:
            draft.put(replace(held[place % len(held)], **change))

    return edit


def _removing(section: str, place: int, *, is_whole: bool) -> Edit:
    def edit(draft: drafts.Draft) -> None:
        held = list(getattr(draft.snapshot, section).values())
        if not held:
            return
        record = held[place % len(held)]
        if is_whole and isinstance(record, Instance):
            draft.remove_instance(record)
        else:
            draft.remove(record)

    return edit


def _adding(section: str, place: int) -> Edit:
    def edit(draft: drafts.Draft) -> None:
        record = _NEW[section][place % len(_NEW[section])]
        if record.uuid not in getattr(draft.snapshot, section):
            draft.put(record)

    return edit


def _pooling(free: list[int]) -> Edit:
    return lambda draft: draft.put(replace(draft.cluster, tcpudp_port_pool=tuple(free)))


_SECTIONS = st.sampled_from(["instances", "instances", "disks", "nodes", "groups", "networks"])
_PLACES = st.integers(0, 4)
_EDITS = st.one_of(
    _SECTIONS.flatmap(
        lambda section: st.builds(_changing, st.just(section), _PLACES, _CHANGES[section])
    ),
    st.builds(_adding, _SECTIONS, _PLACES),
    st.builds(_removing, _SECTIONS, _PLACES, is_whole=st.booleans()),
    st.builds(_pooling, st.lists(_PORTS, max_size=2)),
)
_INDEXES: dict[str, tuple[Callable[[Any], tuple[str, ...]], ...]] = {
    "nodes": (keys.names, keys.beginnings, keys.groups, keys.addresses),
    "instances": (keys.names, keys.primary_nodes, keys.disks, keys.macs, keys.nics,
                  keys.networks, keys.nic_addresses, keys.instance_ports),
    "disks": (keys.disk_ports, keys.minors, keys.mirror_nodes, keys.disk_nodes),
}  # fmt: skip


def _in_use() -> Snapshot:
    """Return a small cluster in which everything leans on something."""
    made = configurations.of(3, 4)
    first = made.instances[uuid(4, 1)]
    nics = (replace(first.nics[0], network="net0", ip="10.0.0.1"),)
    more = Disk(uuid=uuid(5, 4), dev_type=templates.Template.FILE, iv_name="disk/1")
    group = replace(made.groups[uuid(2, 1)], networks={"net0": {}})
    return replace(
        made,
        instances=made.instances.changed(
            {first.uuid: replace(first, nics=nics, disks=(*first.disks, uuid(5, 4)))}
        ),
        disks=made.disks.changed({uuid(5, 4): more}),
        groups=made.groups.changed({group.uuid: group}),
        networks=made.networks.changed({"net0": _NEW["networks"][0]}),
    )


def _hard(snapshot: Snapshot) -> list[str]:
    return [str(finding) for finding in invariants.verify(snapshot) if finding.is_hard]


def _written(draft: drafts.Draft, after: Snapshot) -> dict[str, bytes | None]:
    """Return what a store is given, as `state.Config` makes it."""
    changes: dict[str, bytes | None] = {entries.HEAD: entries.head_of(after)}
    changes[entries.CLUSTER] = codec.encode(after.cluster)
    for section, attribute in entries.SECTIONS.items():
        for uuid, held in draft.touched.get(attribute, {}).items():
            changes[entries.key(section, uuid)] = None if held is None else codec.encode(held)
    return changes


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(_EDITS, min_size=1, max_size=2), max_size=12))
def test_no_sequence_of_edits_breaks_what_must_hold(changes: list[list[Edit]]) -> None:
    now = _in_use()
    assert not _hard(now)
    pieces = datafile.Pieces(entries.from_snapshot(now))
    for number, edits in enumerate(changes):
        draft = drafts.Draft(now, float(number))
        try:
            for edit in edits:
                edit(draft)
        except (errors.BadInput, errors.Damaged, Conflict):
            continue  # and nothing is changed
        after = draft.finished()
        try:
            invariants.check(now, after, draft.touched)
        except errors.BadInput:
            assert _hard(after), "a change was refused that breaks nothing"
            continue
        assert not _hard(after), "a change was made that breaks something"
        assert after.serial_no == now.serial_no + 1
        assert after.cluster.serial_no - now.cluster.serial_no in {0, 1}
        pieces.change(_written(draft, after))
        assert entries.to_snapshot(datafile.parse(pieces.render())) == after
        for section, functions in _INDEXES.items():
            table: Table[Any] = getattr(after, section)
            anew: Table[Any] = Table(table)
            for function in functions:
                carried = {key: sorted(held) for key, held in table.index(function).items()}
                assert carried == {key: sorted(held) for key, held in anew.index(function).items()}
        now = after
