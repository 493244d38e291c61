"""The process that is measured: LUXI over the real configuration and queue below a root.

``python -m lab.bench.masterd.serving ROOT`` serves what config.data there says until it is killed.
Nodes are all down, no job changes anything.
"""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lab import luxiservers
from pyganeti.base import paths
from pyganeti.masterd.config import filestore, state
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot

_READY = b"ready\n"


@contextlib.contextmanager
def started(directory: Path, snapshot: Snapshot) -> Iterator[tuple[paths.Paths, int]]:
    """Run the process below a directory until the block ends; return its places and its pid."""
    name = snapshot.master.name
    layout = paths.Paths(directory / name, name)
    filestore.create(layout, entries.from_snapshot(snapshot))
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(layout.root), name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=os.environ,
        cwd=Path(__file__).parents[3],
    )
    try:
        if process.stdout is None or process.stdout.readline() != _READY:
            raise RuntimeError("the server did not start")
        yield layout, process.pid
    finally:
        process.kill()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


async def _serve(layout: paths.Paths) -> None:
    async with state.opened(filestore.FileStore(layout)) as config:
        started = luxiservers.started(layout.root, config.current, config=config)
        async with started:
            gc.collect()
            gc.freeze()
            sys.stdout.write(_READY.decode())
            sys.stdout.flush()
            await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(_serve(paths.Paths(Path(sys.argv[1]), sys.argv[2])))
