"""Configurations of any size, as a cluster in use has them, and those that real masters wrote.

``config.data`` in tests/golden/config is what a Ganeti 3.0.2 master sent to its candidates;
``config-drbd.data`` was written by the same release's Python objects, with what the other lacks:
mirrored disks, networks, filters, parameters at every level.
"""

from pathlib import Path
from typing import Final

import msgspec

from pyganeti.model import disk as templates
from pyganeti.model.config import datafile, entries, initial, ports
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table

GOLDEN: Final = Path(__file__).parents[1] / "tests/golden/config"
_BORN: Final = 1_700_000_000.25


def uuid(kind: int, number: int) -> str:
    """Return a uuid that looks like one, the same every time."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def real(name: str = "config.data") -> Snapshot:
    """Return a configuration that a real master wrote."""
    return entries.to_snapshot(datafile.parse((GOLDEN / name).read_bytes()))


def of(instances: int, nodes: int = 10) -> Snapshot:
    """Return a cluster of so many nodes and instances, each instance with one disk and one card.

    They are called node1.example.com, inst1.example.com and so on; node 1 is the master.
    """
    made = initial.make(
        initial.Wanted(
            cluster_name="cluster.example.com",
            node_name="node1.example.com",
            primary_ip="192.0.2.1",
            master_ip="198.51.100.1",
            master_netdev="eth0",
            cluster_uuid=uuid(1, 1),
            group_uuid=uuid(2, 1),
            node_uuid=uuid(3, 1),
            now=_BORN,
        )
    )
    many = [_node(number) for number in range(1, nodes + 1)]
    disks = [_disk(number) for number in range(1, instances + 1)]
    machines = [_instance(number, nodes) for number in range(1, instances + 1)]
    return msgspec.structs.replace(
        made,
        cluster=msgspec.structs.replace(
            made.cluster, highest_used_port=min(ports.FIRST + instances, ports.LAST)
        ),
        nodes=Table({node.uuid: node for node in many}),
        instances=Table({instance.uuid: instance for instance in machines}),
        disks=Table({disk.uuid or "": disk for disk in disks}),
    )


def _node(number: int) -> Node:
    return Node(
        name=f"node{number}.example.com",
        uuid=uuid(3, number),
        primary_ip=f"192.0.2.{number}",
        secondary_ip=f"192.0.2.{number}",
        group=uuid(2, 1),
        master_candidate=number <= 10,
        ctime=_BORN,
        mtime=_BORN,
    )


def _disk(number: int) -> Disk:
    path = f"/srv/ganeti/shared-file-storage/inst{number}.example.com/disk0"
    return Disk(
        uuid=uuid(5, number),
        dev_type=templates.Template.SHARED_FILE,
        logical_id=("loop", path),
        iv_name="disk/0",
        size=10240,
        ctime=_BORN,
        mtime=_BORN,
    )


def _instance(number: int, nodes: int) -> Instance:
    nic = Nic(
        mac="aa:00:00:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(3)),
        uuid=uuid(6, number),
        nicparams={"link": f"br{number % 7}"},
    )
    return Instance(
        name=f"inst{number}.example.com",
        uuid=uuid(4, number),
        primary_node=uuid(3, number % nodes + 1),
        os="image+default",
        hvparams={"boot_order": "disk", "serial_console": False},
        beparams={"maxmem": 1024 + number % 8 * 512, "minmem": 1024, "vcpus": 1 + number % 4},
        nics=(nic,),
        disks=(uuid(5, number),),
        disks_active=number % 3 > 0,
        admin_state="up" if number % 3 else "down",
        network_port=ports.FIRST + number if ports.FIRST + number <= ports.LAST else None,
        ctime=_BORN,
        mtime=_BORN,
        tags=("example",),
    )
