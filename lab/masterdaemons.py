"""A real ganeti-masterd as a process of its own, over a configuration below a root.

No other node is a candidate, and none answers; the votes are not asked for.

    with masterdaemons.started(directory, snapshot) as (layout, pid):
        …
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from lab import nodedaemons
from pyganeti.base import paths
from pyganeti.masterd.config import filestore
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot

_PATIENCE: Final = 60.0
_COMMAND: Final = ("-m", "pyganeti.masterd.command", "-f", "--no-voting", "--yes-do-it")


class NotStarted(Exception):
    """It ended before it answered; the message is what it said."""


@contextlib.contextmanager
def started(directory: Path, snapshot: Snapshot) -> Iterator[tuple[paths.Paths, int]]:
    """Run the daemon below a directory until the block ends; return its places and its pid."""
    name = snapshot.master.name
    layout = paths.Paths(directory / name, name)
    _furnish(layout, snapshot)
    log = directory / "masterd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *_COMMAND],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "GANETI_ROOTDIR": str(layout.root), "GANETI_HOSTNAME": name},
            cwd=Path(__file__).parents[1],
        )
    try:
        _await(process, layout.query_socket, log)
        yield layout, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_PATIENCE)


def _furnish(layout: paths.Paths, snapshot: Snapshot) -> None:
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
        time.sleep(0.05)
    raise NotStarted(log.read_text(errors="replace"))
