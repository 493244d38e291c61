"""Master daemons on all nodes of a founded cluster that is kept in etcd: one leads at a time.

with clusters.Cluster(3) as cluster, etcds.on(cluster.nodes) as etcd:
with candidates.started(cluster, etcd) as kept:
kept.daemon(kept.leader()).kill()
kept.leader()
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from lab.cluster import clusters, machines, masters, services
from lab.etcd import etcds
from pyganeti.base import paths, ssconf
from pyganeti.clients.etcd import client, reaching
from pyganeti.masterd.backing.etcd import fence, keys, store
from pyganeti.masterd.election import leased
from pyganeti.model.config import entries
from pyganeti.model.config import ssconf as settings
from pyganeti.wire import storefile

PREFIX: Final = "/ganeti/lab/"
_PAUSE: Final = 0.05


class Candidates:
    """The cluster, and its daemons."""

    def __init__(self, cluster: clusters.Cluster, etcd: etcds.Etcd) -> None:
        self.cluster = cluster
        self.etcd = etcd

    def daemon(self, node: machines.Machine) -> services.Service:
        """Return a node's master daemon."""
        return services.Service(node, services.MASTERD)

    def stand_by(self, node: machines.Machine) -> None:
        """Have a node's daemon run; the leader may be about to start it, too."""
        with contextlib.suppress(services.NotStarted):
            self.daemon(node).start()
        self.daemon(node).wait(lambda: self.daemon(node).alive, "the daemon to stand by")

    def record(self) -> leased.Record | None:
        """Return what etcd says of who leads."""
        for member in self.etcd.members:
            if member.pid is None:
                continue
            with contextlib.suppress(Exception):
                said = member.control("get", "--print-value-only", f"{PREFIX}leader", within=5)
                return msgspec.json.decode(said, type=leased.Record) if said.strip() else None
        return None

    def leader(
        self, *, but: machines.Machine | None = None, within: float = 30.0
    ) -> machines.Machine:
        """Return the node that leads, other than this one, as soon as it answers."""
        deadline = time.monotonic() + within
        while True:
            for node in self.cluster.nodes:
                if node is not but and node.is_on and _answers(node):
                    record = self.record()
                    if record is not None and record.name == node.name:
                        return node
            if time.monotonic() > deadline:
                logs = "\n\n".join(self.daemon(node).log for node in self.cluster.nodes)
                raise TimeoutError(f"nobody leads after {within} s:\n{logs}")
            time.sleep(_PAUSE)


@contextlib.contextmanager
def started(
    cluster: clusters.Cluster, etcd: etcds.Etcd, placed: masters.Placed = ()
) -> Iterator[Candidates]:
    """Have all nodes be candidates that stand by, until the block ends; instances are down."""
    snapshot = masters.configuration(cluster, placed)
    masters.lay_disks(placed)
    kept = storefile.Etcd(endpoints=etcd.endpoints, prefix=PREFIX)
    values = settings.make(snapshot)
    with etcd.member.ground.inside():
        asyncio.run(_write(cluster, kept, entries.from_snapshot(snapshot)))
    for node in cluster.nodes:
        layout = paths.Paths(node.seen(node.root), node.name)
        ssconf.write(
            layout,
            {name: "".join(f"{line}\n" for line in lines) for name, lines in values.items()},
        )
        layout.store_file.write_bytes(storefile.encode(kept))
    made = Candidates(cluster, etcd)
    try:
        for node in cluster.nodes:
            made.stand_by(node)
        yield made
    finally:
        for node in cluster.nodes:
            if node.is_on:
                made.daemon(node).kill()


def _answers(node: machines.Machine) -> bool:
    """Tell whether somebody listens where a leader does."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(node.seen(node.layout.leader_socket)))
        return True
    return False


async def _write(cluster: clusters.Cluster, kept: storefile.Etcd, held: entries.Entries) -> None:
    async with client.Client(reaching.access_of(kept, cluster.master.layout)) as speaking:
        where = keys.Keys(kept.prefix)
        nobody = fence.Fence(where.leader)
        await store.EtcdStore(speaking, where, nobody).create(held)
