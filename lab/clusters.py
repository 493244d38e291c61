"""Configurations of clusters that nobody has: of any size, and the one that was recorded.

snapshot = clusters.large(instances=1000, nodes=10)
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.model.config import codec, initial
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.network import Network
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Record
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table
from pyganeti.model.disk import Template

NOW: Final = 1_700_000_000.0
GROUP: Final = "00000000-0000-4000-8000-00000000f000"
RECORDED: Final = Path(__file__).parents[1] / "tests/golden/luxi/clusterinfo.json"

R = TypeVar("R", bound=Record)


def uuid(kind: int, number: int) -> str:
    """Return a uuid that says what it is of."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def node_uuid(number: int) -> str:
    """Return the uuid of node number ``number``, from 0."""
    return uuid(1, number)


def instance_uuid(number: int) -> str:
    """Return the uuid of instance number ``number``, from 0."""
    return uuid(2, number)


def small(nodes: int = 3, instances: int = 4) -> Snapshot:
    """Return a cluster that one can look at whole; the first node is the master."""
    return large(instances=instances, nodes=nodes)


def open_to_instances(nodes: int = 3) -> Snapshot:
    """Return a cluster without instances that takes all those that tests think of."""
    begun = small(nodes=nodes, instances=0)
    cluster = msgspec.structs.replace(
        begun.cluster,
        enabled_disk_templates=("file", "sharedfile", "plain", "diskless"),
        file_storage_dir="/srv/ganeti/file-storage",
        shared_file_storage_dir="/srv/ganeti/shared-file-storage",
        nicparams={"default": {"mode": "bridged", "link": "br0", "vlan": ""}},
    )
    return msgspec.structs.replace(begun, cluster=cluster)


def furnished() -> Snapshot:
    """Return a small cluster with a network, a job filter, and a mirrored disk besides."""
    begun = small()
    mirrored = disk(
        1,
        dev_type=Template.DRBD,
        logical_id=(node_uuid(1), node_uuid(2), 11005, 0, 0, "secret"),
        nodes=(node_uuid(1), node_uuid(2)),
    )
    network = Network(
        name="net1",
        network="10.0.0.0/29",
        gateway="10.0.0.1",
        reservations="00100000",
        ext_reservations="11000001",
        uuid=uuid(5, 0),
    )
    connected = instance(
        0, 3, nics=(Nic(mac="aa:00:00:00:00:00", network=network.uuid, uuid=uuid(4, 0)),)
    )
    group = msgspec.structs.replace(
        begun.groups[GROUP], networks={network.uuid: {"mode": "bridged", "link": "br0"}}
    )
    rule = FilterRule(
        watermark=3,
        priority=1,
        predicates=(("jobid", ["<", "id", 5]),),
        action="PAUSE",
        uuid=uuid(6, 0),
    )
    return msgspec.structs.replace(
        replaced(begun, mirrored, connected),
        groups=_table([group]),
        networks=_table([network]),
        filters=_table([rule]),
    )


def large(*, instances: int, nodes: int) -> Snapshot:
    """Return a cluster with so many instances, each with a disk and a card."""
    begun = initial.make(
        initial.Wanted(
            cluster_name="cluster.example.com",
            node_name="node1.example.com",
            primary_ip=address(0),
            master_ip="127.0.0.250",
            master_netdev="lo",
            cluster_uuid=uuid(0, 0),
            group_uuid=GROUP,
            node_uuid=node_uuid(0),
            now=NOW,
            settings={"file_storage_dir": "/srv/ganeti/file-storage"},
        )
    )
    return msgspec.structs.replace(
        begun,
        nodes=_table([begun.nodes[node_uuid(0)], *(node(n) for n in range(1, nodes))]),
        instances=_table(instance(number, nodes) for number in range(instances)),
        disks=_table(disk(number) for number in range(instances)),
    )


def address(number: int) -> str:
    """Return the address of node number ``number``, from 0: one of loopback's."""
    return f"127.0.{1 + number // 200}.{1 + number % 200}"


def node(number: int, **changes: Any) -> Node:  # noqa: ANN401 - of any field
    """Return a node."""
    known: dict[str, Any] = {
        "name": f"node{number + 1}.example.com",
        "primary_ip": address(number),
        "secondary_ip": address(number),
        "master_candidate": number < 10,
        "group": GROUP,
        "ctime": NOW,
        "mtime": NOW,
        "uuid": node_uuid(number),
    }
    return Node(**known | changes)


def instance(number: int, nodes: int = 1, **changes: Any) -> Instance:  # noqa: ANN401
    """Return an instance, on one of so many nodes."""
    known: dict[str, Any] = {
        "name": f"web{number + 1}.example.com",
        "primary_node": node_uuid(number % nodes),
        "os": "image+default",
        "admin_state": "up",
        "nics": (
            Nic(
                mac=f"aa:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
                ip=None,
                nicparams={"link": "br0"},
                uuid=uuid(4, number),
            ),
        ),
        "disks": (uuid(3, number),),
        "disks_active": True,
        "network_port": 11000 + number,
        "ctime": NOW,
        "mtime": NOW,
        "uuid": instance_uuid(number),
        "tags": ("some", "tag"),
        "beparams": {"maxmem": 256, "minmem": 256},
    }
    return Instance(**known | changes)


def disk(number: int, **changes: Any) -> Disk:  # noqa: ANN401 - of any field
    """Return an instance's disk."""
    known: dict[str, Any] = {
        "dev_type": Template.FILE,
        "logical_id": ("loop", f"/srv/ganeti/file-storage/web{number + 1}/disk0"),
        "iv_name": "disk/0",
        "size": 1024,
        "uuid": uuid(3, number),
        "ctime": NOW,
        "mtime": NOW,
    }
    return Disk(**known | changes)


def recorded() -> Snapshot:
    """Return the cluster with which the recorded exchanges were had, as far as they show it."""
    told = json.loads(RECORDED.read_text())["r"]["result"]
    known = set(Cluster.__struct_fields__)
    cluster = {key: value for key, value in told.items() if key in known}
    cluster |= {
        "cluster_name": told["name"],
        "master_node": node_uuid(0),
        "master_ip": "127.0.0.250",
        "primary_ip_family": 2,
        "data_collectors": {
            name: {"active": active, "interval": told["data_collector_interval"][name]}
            for name, active in told["enabled_data_collectors"].items()
        },
    }
    fakes = [
        instance(
            number,
            name=f"instance{number + 1}.example.com",
            hypervisor="fake",
            admin_state="up" if number == 0 else "down",
            disks=(),
            nics=(),
            beparams={},
        )
        for number in range(3)
    ]
    kvm = instance(
        3,
        name="k1.example.com",
        admin_state="down",
        admin_state_source="user",
        beparams={"maxmem": 64, "minmem": 64},
        nics=(Nic(mac="aa:bb:cc:00:00:01", ip="10.9.9.9", uuid=uuid(4, 3)),),
    )
    begun = small(nodes=1, instances=0)
    return msgspec.structs.replace(
        begun,
        cluster=codec.from_wire(cluster, Cluster),
        instances=_table([*fakes, kvm]),
        disks=_table([disk(3, size=16)]),
    )


def replaced(snapshot: Snapshot, *changed: Record) -> Snapshot:
    """Return the configuration with objects put in the place of those of the same uuid."""
    tables = {Node: "nodes", Instance: "instances", Disk: "disks"}
    for held in changed:
        if isinstance(held, Cluster):
            snapshot = msgspec.structs.replace(snapshot, cluster=held)
            continue
        name = tables[type(held)]
        table = getattr(snapshot, name).changed({getattr(held, "uuid"): held})  # noqa: B009
        snapshot = msgspec.structs.replace(snapshot, **{name: table})
    return snapshot


def _table(objects: Iterable[R]) -> Table[R]:
    return Table({str(getattr(held, "uuid")): held for held in objects})  # noqa: B009
