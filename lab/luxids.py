"""Debian's query daemon, luxid, over a configuration of ours: to compare answers and speed with.

Its daemon of the configuration, wconfd, likewise: what it makes of one of ours. Both together are
what carries jobs out: `master`.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from lab import debianusers, masterdaemons
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
    with _running(directory, layout, program):
        yield layout


@contextlib.contextmanager
def master(
    directory: Path,
    snapshot: Snapshot,
    before: Callable[[paths.Paths], None] = masterdaemons.nothing,
) -> Iterator[masterdaemons.Running]:
    """Run both daemons of a master, as `masterdaemons.started` runs ours.

    The last job's process may still be there when the block ends; it ends by itself.
    """
    name = snapshot.master.name
    layout = paths.Paths(directory / name, name)
    masterdaemons.furnish(layout, snapshot)
    _surround(layout, snapshot)
    before(layout)
    began = time.perf_counter()
    with (
        _running(directory, layout, WCONFD) as configuring,
        _running(directory, layout, PROGRAM) as asked,
    ):
        yield masterdaemons.Running(layout, (configuring, asked), began)


@contextlib.contextmanager
def _running(directory: Path, layout: paths.Paths, program: Path) -> Iterator[int]:
    log = directory / f"{program.name}.log"
    environment = {"GANETI_ROOTDIR": str(layout.root), "GANETI_HOSTNAME": layout.hostname}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*debianusers.prefix(directory), str(program), "-f", "--no-voting", "--yes-do-it"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    try:
        _await(process, wconfd_socket(layout) if program == WCONFD else layout.query_socket, log)
        yield process.pid
    finally:
        process.kill()
        process.wait(PATIENCE)


def wconfd_socket(layout: paths.Paths) -> Path:
    """Return where wconfd listens; it speaks as luxid does."""
    return layout.query_socket.with_name("ganeti-wconfd")


def _furnish(layout: paths.Paths, snapshot: Snapshot) -> None:
    filestore.create(layout, entries.from_snapshot(snapshot))
    _surround(layout, snapshot)


def _surround(layout: paths.Paths, snapshot: Snapshot) -> None:
    """Put in place what they want besides the configuration."""
    layout.ssconf("master_node").write_text(f"{snapshot.master.name}\n")
    names = "".join(f"{node.name}\n" for node in snapshot.nodes.values())
    for about, words in (
        ("node_list", names),
        ("cluster_name", f"{snapshot.cluster.cluster_name}\n"),
        ("master_candidates", f"{snapshot.master.name}\n"),
        ("hypervisor_list", "kvm\n"),
    ):
        layout.ssconf(about).write_text(words)
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
        time.sleep(0.005)
    raise NotStarted(log.read_text(errors="replace"))
