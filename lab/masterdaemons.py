"""A real ganeti-masterd as a process of its own, over a configuration below a root.

No other node is a candidate, and none answers; the votes are not asked for.

    with masterdaemons.started(directory, snapshot) as running:
        with luxi.Client(running.layout) as client:
            …
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lab import nodedaemons
from pyganeti.base import paths
from pyganeti.masterd.config import filestore
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot

_PATIENCE: Final = 60.0
_PAUSE: Final = 0.005
_COMMAND: Final = ("-m", "pyganeti.masterd.command", "-f", "--no-voting", "--yes-do-it")


class NotStarted(Exception):
    """It ended before it answered; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Running:
    """What runs: where, as which processes, and since when (`time.perf_counter`)."""

    layout: paths.Paths
    pids: tuple[int, ...]
    began: float


def nothing(layout: paths.Paths) -> None:
    """Put nothing further in place before a daemon starts."""


@contextlib.contextmanager
def started(
    directory: Path,
    snapshot: Snapshot,
    before: Callable[[paths.Paths], None] = nothing,
    *,
    metrics: str = "off",
) -> Iterator[Running]:
    """Run the daemon below a directory until the block ends; ``before`` puts more in place."""
    name = snapshot.master.name
    layout = paths.Paths(directory / name, name)
    furnish(layout, snapshot)
    before(layout)
    log = directory / "masterd.log"
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *_COMMAND, "--metrics", metrics],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "GANETI_ROOTDIR": str(layout.root), "GANETI_HOSTNAME": name},
            cwd=Path(__file__).parents[1],
        )
    try:
        _await(process, layout.query_socket, log)
        yield Running(layout, (process.pid,), began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_PATIENCE)


def furnish(layout: paths.Paths, snapshot: Snapshot) -> None:
    """Put in place what a master daemon finds: configuration, certificates, directories."""
    alone = {
        uuid: msgspec.structs.replace(node, master_candidate=uuid == snapshot.master.uuid)
        for uuid, node in snapshot.nodes.items()
    }
    nodes = snapshot.nodes.changed(alone)
    kept = msgspec.structs.replace(snapshot, nodes=nodes)
    filestore.create(layout, entries.from_snapshot(kept))
    layout.ssconf("master_node").write_text(f"{snapshot.master.name}\n")
    certificates = nodedaemons.cluster()
    layout.server_certificate.write_bytes(certificates.server.pem)
    layout.client_certificate.write_bytes(certificates.client.pem)
    for place in (layout.queue_dir, layout.log_dir, layout.run_dir):
        place.mkdir(parents=True, exist_ok=True)


def _await(process: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(_PAUSE)
    raise NotStarted(log.read_text(errors="replace"))
