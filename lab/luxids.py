"""Debian's query daemon, luxid, over a configuration of ours: to compare answers and speed with.

Its daemon of the configuration, wconfd, likewise: what it makes of one of ours.

    with luxids.started(root, clusters.furnished()) as layout:
        with luxi.Client(layout) as client:
            …

It needs root, and Debian's package ganeti-haskell-3.0; `missing` says what of that is not there.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lab import debianusers
from pyganeti.base import paths
from pyganeti.masterd.config import filestore
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot

PROGRAM: Final = Path("/usr/lib/ganeti/3.0/usr/sbin/ganeti-luxid")
WCONFD: Final = PROGRAM.with_name("ganeti-wconfd")
PATIENCE: Final = 30.0


class NotStarted(Exception):
    """It ended before it answered; the message is what it said."""


def missing() -> str:
    """Return what it would need and is not there; nothing if all is."""
    if not PROGRAM.exists():
        return "needs Debian's package ganeti-haskell-3.0"
    return debianusers.missing()


@contextlib.contextmanager
def started(directory: Path, snapshot: Snapshot, program: Path = PROGRAM) -> Iterator[paths.Paths]:
    """Run it, or wconfd, below a directory, until the block ends; return its places."""
    name = snapshot.master.name
    layout = paths.Paths(directory / name, name)
    _furnish(layout, snapshot)
    log = directory / f"{program.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*debianusers.prefix(directory), str(program), "-f", "--no-voting", "--yes-do-it"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "GANETI_ROOTDIR": str(layout.root), "GANETI_HOSTNAME": name},
        )
    try:
        _await(process, wconfd_socket(layout) if program == WCONFD else layout.query_socket, log)
        yield layout
    finally:
        process.kill()
        process.wait(PATIENCE)


def wconfd_socket(layout: paths.Paths) -> Path:
    """Return where wconfd listens; it speaks as luxid does."""
    return layout.query_socket.with_name("ganeti-wconfd")


def _furnish(layout: paths.Paths, snapshot: Snapshot) -> None:
    filestore.create(layout, entries.from_snapshot(snapshot))
    layout.ssconf("master_node").write_text(f"{snapshot.master.name}\n")
    names = "".join(f"{node.name}\n" for node in snapshot.nodes.values())
    layout.ssconf("node_list").write_text(names)
    for place in (
        layout.queue_dir / "archive",
        layout.query_socket.parent,
        layout.run_dir / "livelocks",
        layout.log_dir,
    ):
        place.mkdir(parents=True, exist_ok=True)
    for name, content in (("serial", "0\n"), ("version", "1\n"), ("lock", "")):
        (layout.queue_dir / name).write_text(content)


def _await(process: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.05)
    raise NotStarted(log.read_text(errors="replace"))
