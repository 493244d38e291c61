"""All of Debian's Ganeti that starts instances, on one machine of the laboratory.

luxid, wconfd, a Python process for each job, and Ganeti's node daemon (`lab.bench.nodes.daemons`),
over the configuration that our master daemon has there, in the system's own places, which on that
machine are the node's. Two things differ: no accelerator is named, so that its qemu emulates, which
ours is told to; and nobody watches why guests stop, for that is not what is measured.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from lab import luxids, qemus
from lab.bench import contestants
from lab.bench.nodes import daemons
from lab.cluster import clusters, machines, masters
from pyganeti.base import paths
from pyganeti.clients import luxi
from pyganeti.masterd.config import filestore
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot

# $0 is the node's root.
_PLACES: Final = """
mount --bind "$0/etc/ganeti" /etc/ganeti
mkdir /run/lock
cd "$0/var"
mkdir -p lib/ganeti/queue/archive log/ganeti/kvm
cd run/ganeti
mkdir -p livelocks socket instance-disks instance-reason crypto
cd "$0/var/lib/ganeti/queue"
echo 0 >serial
echo 1 >version
touch lock
"""


@contextlib.contextmanager
def started(cluster: clusters.Cluster, placed: masters.Placed) -> Iterator[luxi.Client]:
    """Have Ganeti's daemons run on a founded cluster's only node until the block ends.

    It is asked by the client that comes back. ``placed`` instances, whose disks are there, are
    down. Our daemons do not run there then, and not again.
    """
    node = cluster.master
    layout = paths.Paths(node.seen(node.root), node.name)
    layout.config_data.unlink(missing_ok=True)
    filestore.create(layout, entries.from_snapshot(_configuration(cluster, placed)))
    if cluster.noded(node).alive:
        cluster.noded(node).stop()
    noded = daemons.Peer(cluster)
    done = node.run("sh", "-ec", _PLACES, node.root)
    if done.returncode:
        raise contestants.Failed(f"Ganeti's places: {done.stderr.strip()}")
    with noded.running(), contextlib.ExitStack() as running:
        for program in (luxids.WCONFD, luxids.PROGRAM):
            running.enter_context(_running(node, program, layout))
        with luxi.Client(layout) as client:
            yield client


@contextlib.contextmanager
def _running(node: machines.Machine, program: Path, layout: paths.Paths) -> Iterator[None]:
    there = ["env", "-u", "GANETI_ROOTDIR", "-u", "GANETI_HOSTNAME"]
    log = f"{program.name}.log"
    flags = ["-f", "--no-voting", "--yes-do-it"]
    node.spawn(*there, str(program), *flags, log=log)
    listening = luxids.wconfd_socket(layout) if program == luxids.WCONFD else layout.query_socket
    qemus.wait_until(listening.exists, within=contestants.PATIENCE, what=program.name)
    try:
        yield
    finally:
        for inner, line in _lines(node).items():
            if str(program) in line:
                node.run("kill", "-KILL", str(inner))


def _lines(node: machines.Machine) -> dict[int, str]:
    """Return the command lines of a machine's processes."""
    found = {}
    for inner, outer in node.namespace.processes().items():
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{outer}/cmdline").read_bytes()
            found[inner] = line.decode(errors="replace")
    return found


def _configuration(cluster: clusters.Cluster, placed: masters.Placed) -> Snapshot:
    made = masters.configuration(cluster, placed, enabled_user_shutdown=False)
    hvparams = {name: dict(given) for name, given in made.cluster.hvparams.items()}
    hvparams["kvm"] |= {"kvm_flag": "", "user_shutdown": False}
    return msgspec.structs.replace(
        made, cluster=msgspec.structs.replace(made.cluster, hvparams=hvparams)
    )
