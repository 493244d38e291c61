"""How long lists take at the socket, read whole; and what holding so many instances costs."""

import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from lab import clusters, luxids, masterdaemons
from lab.bench import contestants, figures
from pyganeti.base import paths
from pyganeti.wire import luxi

SIZES: Final = (1000, 5000)
NODES: Final = 20
FIELDS: Final = (
    "name", "hypervisor", "os", "pnode", "admin_state", "be/memory", "be/vcpus",
    "disk.sizes", "nic.macs", "nic.ips", "tags",
)  # fmt: skip
"""Static ones that people list; what `gnt-instance list` shows by default asks the nodes too."""

_LOOKS: Final = {contestants.Own.title: 20, contestants.Peer.title: 3}
"""How often each is asked: Ganeti takes seconds."""

_TARGETS: Final = {1000: 30.0, 5000: 150.0}
_MEMORY: Final = {1000: 120.0, 5000: None}


class Wrong(Exception):
    """An answer is not what it should be."""


def _figures() -> list[figures.Figure]:
    found = []
    for size in SIZES:
        what = f"{size:,} instances"
        found += [
            figures.Figure(f"list.{size}", f"{what}: list, static fields", "ms", _TARGETS[size]),
            figures.Figure(f"list.one.{size}", f"{what}: one of them by name", "ms"),
            figures.Figure(f"list.found.{size}", f"{what}: found by a regular expression", "ms"),
            figures.Figure(f"pss.masterd.{size}", f"{what}: memory (PSS)", "MiB", _MEMORY[size]),
        ]
    return found


FIGURES: Final = tuple(_figures())


def measure(found: figures.Results, *, with_peer: bool) -> None:
    """Measure ours, then Ganeti's query daemon, where it can be had."""
    for size in SIZES:
        snapshot = clusters.large(instances=size, nodes=NODES)
        with (
            tempfile.TemporaryDirectory(prefix="pg-") as directory,
            masterdaemons.started(Path(directory), snapshot) as (layout, pid),
        ):
            _look(found, contestants.Own.title, layout, size)
            found.add(contestants.Own.title, f"pss.masterd.{size}", _pss(pid))
        if not with_peer:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="pg-") as directory,
            luxids.started(Path(directory), snapshot) as layout,
        ):
            _look(found, contestants.Peer.title, layout, size)


def _look(found: figures.Results, who: str, layout: paths.Paths, size: int) -> None:
    questions: dict[str, tuple[list[object], int]] = {
        "list": (["instance", FIELDS, None], size),
        "list.one": (["instance", FIELDS, ["|", ["=", "name", "web7"]]], 1),
        "list.found": (["instance", FIELDS, ["=~", "name", "^web77"]], 0),
    }
    for key, (args, rows) in questions.items():
        times = [_ask(layout.query_socket, args, rows) for _ in range(_LOOKS[who])]
        found.add(who, f"{key}.{size}", statistics.median(times) * 1000)


def _ask(path: Path, args: list[object], rows: int) -> float:
    """Return the seconds from connecting to the answer's last byte."""
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
        raise Wrong(f"{len(answer['data'])} rows instead of {rows}")
    return taken


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise Wrong("a process without memory")
