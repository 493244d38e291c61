"""Brings up a cluster of several nodes for a person, and says how to look around: `make cluster`.

It stays until Ctrl-C, and leaves nothing then, nor if it is killed. Works for root and for plain
users who may have user namespaces. Exit status: 0 after Ctrl-C, 2 if it cannot run here.
"""

import argparse
import signal
import sys
import time
from typing import Final, NoReturn

from lab import qemus
from lab.cluster import clusters, namespaces, tour

_DAY: Final = 86400.0
_LOOK: Final = 1.0
_MODULE: Final = "lab.cluster"

_WORDS: Final = """
In another terminal, as the same user:

    . {file}

    guest add web1 node1        # an instance of 512 bytes; its disk is seen by all nodes
    guest list
    guest count web1            # 1: it counts in its memory
    guest move web1 node2       # while it runs
    guest count web1            # 2
    guest off web1              # it powers itself off
    on node2 ganeti-kvmd stops  # why it stopped
    on node1 ganeti-kvmd why web1

    call node2 version          # the node RPC, over TLS, as the master
    call node2 all_instances_info '["kvm"]' '{{}}'
    on node3                    # a shell there, in the node's network
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
        with clusters.Cluster(options.nodes, limit=_DAY) as cluster:
            _say(cluster, time.monotonic() - began)
            while True:
                time.sleep(_LOOK)
    except KeyboardInterrupt:
        print("\nNothing is left behind.", file=sys.stderr)
    return 0


def _say(cluster: clusters.Cluster, seconds: float) -> None:
    file = cluster.place / "cluster.sh"
    file.write_text(tour.shell(cluster.place, cluster.nodes))
    print(f"{len(cluster.nodes)} nodes came up in {seconds:.1f} s:\n")
    for node in cluster.nodes:
        role = "master" if node is cluster.master else ""
        print(f"    {node.port}  {node.address}  GANETI_ROOTDIR={node.root}  {role}".rstrip())
    first = cluster.master
    print(_WORDS.format(file=file, log=first.layout.log_file("ganeti-noded")), flush=True)


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
