"""Brings up a cluster of several nodes for a person, and says how to look around: `make cluster`.

It stays until Ctrl-C, and leaves nothing then, nor if it is killed. Works for root and for plain
users who may have user namespaces. Exit status: 0 after Ctrl-C, 2 if it cannot run here.
"""

import argparse
import signal
import sys
import time
from typing import Final, NoReturn

from lab import guests, qemus
from lab.cluster import clusters, masters, namespaces, tour

_DAY: Final = 86400.0
_LOOK: Final = 1.0
_MODULE: Final = "lab.cluster"
_ADD: Final = (
    "gnt-instance", "add", "-t", "sharedfile", "-s", "4M", "-B", "memory=16M", "--no-nics",
    "--no-name-check", "--ignore-ipolicy", "-o", "image", "-O",
)  # fmt: skip

_WORDS: Final = """
In another terminal, as the same user:

    . {file}

    on node1 gnt-node list
    on node1 gnt-instance list
    on node1 gnt-instance --help     # what can be done to instances
    on node1 gnt-cluster info
    {add} db1
    on node1 gnt-instance migrate -f -n node2 db1
    guest count db1                  # it counts in its memory: 1, then 2, wherever it runs
    guest off db1                    # it powers itself off; gnt-instance list says USER_down
    on node2 ganeti-kvmd why db1     # why it stopped

    call node2 version               # the node RPC, over TLS, as the master
    on node3                         # a shell there, in the node's network
    less {log}

Ctrl-C here ends all of it."""


def main() -> int:
    """Have a cluster until told otherwise; return the exit status."""
    options = _parser().parse_args()
    namespaces.become_root(_MODULE)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    why_not = namespaces.why_not() or qemus.why_not()
    if why_not:
        print(f"There can be no cluster here: {why_not}", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        with (
            clusters.Cluster(options.nodes, limit=_DAY) as cluster,
            masters.started(cluster, []) as master,
        ):
            print(f"{len(cluster.nodes)} nodes came up in {time.monotonic() - began:.1f} s:\n")
            for node in cluster.nodes:
                role = "master" if node is cluster.master else ""
                place = f"GANETI_ROOTDIR={node.root}"
                print(f"    {node.port}  {node.address}  {place}  {role}".rstrip())
            _show(cluster, master)
            _say(cluster)
            while True:
                time.sleep(_LOOK)
    except KeyboardInterrupt:
        print("\nNothing is left behind.", file=sys.stderr)
    return 0


def _show(cluster: clusters.Cluster, master: masters.Master) -> None:
    """Show how an instance is made, moved while it runs, and started elsewhere."""
    sector = cluster.place / "guest.sector"
    sector.write_bytes(guests.polite())
    _type(master, *_ADD, f"image={sector},sha256=unchecked", "-n", "node1", "web1")
    if len(cluster.nodes) > 1:
        _type(master, "gnt-instance", "migrate", "-f", "-n", "node2", "web1")
        _type(master, "gnt-instance", "failover", "-f", "-n", "node1", "web1")
    _type(master, "gnt-instance", "list")


def _type(master: masters.Master, *line: str) -> None:
    """Show a command and what it prints; raises masters.Failed if it fails."""
    print(f"\n# {' '.join(line)}", flush=True)
    print(master.run(*line).rstrip(), flush=True)


def _say(cluster: clusters.Cluster) -> None:
    file = cluster.place / "cluster.sh"
    file.write_text(tour.shell(cluster.place, cluster.nodes))
    add = " ".join(("on node1", *_ADD, f"image={cluster.place}/guest.sector,sha256=unchecked"))
    log = cluster.master.layout.log_file("ganeti-masterd")
    print(_WORDS.format(file=file, log=log, add=add), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.cluster", description=__doc__)
    parser.add_argument(
        "--nodes", type=int, choices=range(1, 10), default=3, metavar="N", help="how many (3)"
    )
    return parser


def _leave(number: int, frame: object) -> NoReturn:
    del frame
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
