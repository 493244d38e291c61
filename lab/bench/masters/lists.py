"""How long lists take at the socket, read whole."""

import socket
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import clusters
from lab.bench import figures, runs
from lab.bench.masters import daemons
from pyganeti.wire import luxi

SIZES: Final = (1000, 5000)
NODES: Final = 20
FIELDS: Final = (
    "name", "hypervisor", "os", "pnode", "admin_state", "be/memory", "be/vcpus",
    "disk.sizes", "nic.macs", "nic.ips", "tags",
)  # fmt: skip
"""Static ones that people list; what `gnt-instance list` shows by default asks the nodes too."""

_LOOKS: Final = {True: 20, False: 3}
"""How often each is asked, by whether it is ours: Ganeti takes seconds."""

_TARGETS: Final = {1000: 30.0, 5000: 150.0}


def _figures() -> list[figures.Figure]:
    found = []
    for size in SIZES:
        what = f"{size:,} instances"
        found += [
            figures.Figure(f"list.{size}", f"{what}: list, static fields", "ms", _TARGETS[size]),
            figures.Figure(f"list.one.{size}", f"{what}: one of them by name", "ms"),
            figures.Figure(f"list.found.{size}", f"{what}: found by a regular expression", "ms"),
            figures.Figure(f"list.pss.{size}", f"{what}: memory after that (PSS)", "MiB"),
        ]
    return found


FIGURES: Final = tuple(_figures())


def measure(plan: runs.Plan, found: figures.Results, kinds: Sequence[daemons.Kind]) -> None:
    """Measure one run."""
    for size in SIZES:
        snapshot = clusters.large(instances=size, nodes=NODES)
        for kind in kinds:
            with daemons.started(kind, plan.disk, found, snapshot) as daemon:
                _look(daemon, size)
                daemon.add(f"list.pss.{size}", daemon.memory())


def _look(daemon: daemons.Daemon, size: int) -> None:
    questions: dict[str, tuple[list[object], int]] = {
        "list": (["instance", FIELDS, None], size),
        "list.one": (["instance", FIELDS, ["|", ["=", "name", "web7"]]], 1),
        "list.found": (["instance", FIELDS, ["=~", "name", "^web77"]], 0),
    }
    for key, (args, rows) in questions.items():
        spent = [
            ask(daemon.layout.query_socket, args, rows) for _ in range(_LOOKS[daemon.kind.is_own])
        ]
        daemon.add(f"{key}.{size}", statistics.median(spent) * 1000)


def ask(path: Path, args: list[object], rows: int) -> float:
    """Return the seconds of a Query from connecting to the answer's last byte.

    Raises `daemons.Wrong` if it has not so many rows; 0 is any number.
    """
    request = luxi.encode_request("Query", args)
    pieces = []
    begun = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        connection.sendall(request)
        while piece := connection.recv(1 << 20):
            pieces.append(piece)
            if piece.endswith(luxi.END):
                break
    taken = time.perf_counter() - begun
    answer = luxi.decode_answer(b"".join(pieces)[:-1])
    if rows and len(answer["data"]) != rows:
        raise daemons.Wrong(f"{len(answer['data'])} rows instead of {rows}")
    return taken
