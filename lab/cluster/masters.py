"""A master daemon on a founded cluster's first node, over a configuration that has instances.

    with clusters.Cluster(3) as cluster:
        with masters.started(cluster, [(web1, cluster.nodes[0])]) as master:
            master.run("gnt-instance", "startup", "web1")

The instances are in the configuration from the start, down, and their disks are there: for what
happens to instances, not for how they come to be.
"""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from lab.cluster import clusters, founding, instances, machines, network, services
from pyganeti.base import paths
from pyganeti.masterd.config import filestore
from pyganeti.model.config import codec, entries, initial
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table

_BORN: Final = 1_700_000_000.0
_PATIENCE: Final = 60.0

Placed = Sequence[tuple[instances.Instance, machines.Machine]]
"""Instances, and which nodes they are on."""


class Failed(Exception):
    """A command ended with another status than 0; the message is what it said."""


class Master:
    """The daemon, and the commands that talk to it, on the cluster's first node."""

    def __init__(self, cluster: clusters.Cluster) -> None:
        self.cluster = cluster
        self.node = cluster.master
        self.daemon = services.Service(self.node, services.MASTERD)

    def command(
        self, *words: str, given: str = "", within: float = _PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its status."""
        return self.node.run(*words, given=given, within=within)

    def run(self, *words: str, given: str = "", within: float = _PATIENCE) -> str:
        """Run a command that has to succeed; return what it printed. Raises `Failed`."""
        done = self.command(*words, given=given, within=within)
        if done.returncode:
            raise Failed(
                f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}\n"
                f"{self.daemon.log}"
            )
        return done.stdout

    def table(self, *words: str) -> list[list[str]]:
        """Run a command that lists something; return its rows."""
        printed = self.run(*words, "--no-headers", "--separator", "|")
        return [line.split("|") for line in printed.splitlines()]

    def status(self, name: str) -> str:
        """Return an instance's status."""
        [[status]] = self.table("gnt-instance", "list", "-o", "status", name)
        return status


@contextlib.contextmanager
def started(
    cluster: clusters.Cluster,
    placed: Placed,
    *,
    candidates: int | None = None,
    **settings: Any,  # noqa: ANN401 - of the cluster
) -> Iterator[Master]:
    """Have a master daemon run until the block ends; ``settings`` are fields of the cluster's.

    All nodes are candidates, or so many.
    """
    snapshot = configuration(cluster, placed, candidates=candidates, **settings)
    node = cluster.master
    layout = paths.Paths(node.seen(node.root), node.name)
    filestore.create(layout, entries.from_snapshot(snapshot))
    lay_disks(placed)
    master = Master(cluster)
    master.daemon.start()
    try:
        yield master
    finally:
        if master.daemon.alive:
            master.daemon.kill()


def lay_disks(placed: Placed) -> None:
    """Put the instances' disks where the configuration says that they are."""
    for instance, _ in placed:
        instance.directory.mkdir(parents=True, exist_ok=True)
        for index in range(instance.disks):
            content = instance.sector if index == 0 else b""
            (instance.directory / f"disk{index}").write_bytes(content.ljust(1 << 20, b"\0"))


def configuration(
    cluster: clusters.Cluster,
    placed: Placed,
    *,
    candidates: int | None = None,
    **settings: Any,  # noqa: ANN401 - see started
) -> Snapshot:
    """Return the configuration of a founded cluster with instances on its nodes."""
    master = cluster.master
    certificates = {
        founding.uuid_of(node.name): founding.client_of(node.name).digest for node in cluster.nodes
    }
    made = initial.make(
        initial.Wanted(
            cluster_name=founding.NAME,
            node_name=master.name,
            primary_ip=master.address,
            master_ip=founding.MASTER_ADDRESS,
            master_netdev=network.BRIDGE,
            cluster_uuid=founding.uuid_of("cluster"),
            group_uuid=founding.uuid_of("default"),
            node_uuid=founding.uuid_of(master.name),
            now=_BORN,
            hvparams={"kvm": instances.HVPARAMS},
            enabled_disk_templates=("sharedfile", "file", "diskless"),
            settings={
                "enabled_user_shutdown": True,
                "candidate_certs": certificates,
                "shared_file_storage_dir": str(cluster.shared),
                "modify_etc_hosts": False,
                **settings,
            },
        )
    )
    first = made.nodes[founding.uuid_of(master.name)]
    most = len(cluster.nodes) if candidates is None else candidates
    nodes = [
        msgspec.structs.replace(_node(first, node), master_candidate=number < most)
        for number, node in enumerate(cluster.nodes)
    ]
    disks = [disk for instance, _ in placed for disk in _disks(instance)]
    return msgspec.structs.replace(
        made,
        nodes=Table({node.uuid: node for node in nodes}),
        disks=Table({disk.uuid or "": disk for disk in disks}),
        instances=Table({instance.uuid: _instance(instance, node) for instance, node in placed}),
    )


def _node(first: Node, node: machines.Machine) -> Node:
    return msgspec.structs.replace(
        first,
        name=node.name,
        uuid=founding.uuid_of(node.name),
        primary_ip=node.address,
        secondary_ip=node.address,
    )


def _disks(instance: instances.Instance) -> list[Disk]:
    kept = frozenset(Disk.__struct_fields__)
    return [
        codec.from_wire({key: value for key, value in described.items() if key in kept}, Disk)
        for described in instance.disks_info()
    ]


def _instance(instance: instances.Instance, node: machines.Machine) -> Instance:
    kept = frozenset(Instance.__struct_fields__) - {"disks", "hvparams", "beparams"}
    described = instance.wire(node, admin_state="down")
    return msgspec.structs.replace(
        codec.from_wire({key: described[key] for key in described if key in kept}, Instance),
        hvparams=dict(instance.hvparams),
        beparams={"maxmem": instance.memory, "minmem": instance.memory},
        disks=tuple(disk["uuid"] for disk in described["disks_info"]),
    )
