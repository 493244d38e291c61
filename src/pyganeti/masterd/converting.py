"""Moving the cluster from what it is kept in to something else; run instead of the daemon.

This node's master daemon is told to end first: it is the one that leads, or nobody leads. Whoever
asked for the move starts it again, whatever came of this. Nobody else does meanwhile: the watcher
is kept from acting by its lock, for a daemon that it started would go on in what is being left.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from pyganeti.base import daemons, errors, filelock, paths
from pyganeti.masterd import settings
from pyganeti.wire import storefile

FILES: Final = "files"

_WATCHER: Final = 120.0
"""Seconds for which a watcher is waited for that makes a pass, or starts a daemon."""


def run(layout: paths.Paths, to: str) -> int:
    """Move the cluster to ``files``, or to what a file names that is like `storefile`'s.

    Returns the exit status.
    """
    try:
        asyncio.run(_run(layout, to))
    except (errors.Failure, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(layout: paths.Paths, to: str) -> None:
    wanted = None
    if to != FILES:
        wanted = storefile.decode(await asyncio.to_thread(Path(to).read_bytes))
    try:
        from pyganeti.masterd.backing.etcd import moving  # noqa: PLC0415 - 30 MB, for this alone
    except ImportError as error:
        raise errors.Unavailable(
            f"the client of etcd is not installed here ({error}): install pyganeti[etcd]"
        ) from error

    async def stop() -> None:
        if not await daemons.stop(layout, settings.PROGRAM):
            raise errors.Unavailable(f"{settings.PROGRAM} does not end")

    async with filelock.exclusive(layout.watcher_lock, _WATCHER):
        if wanted is None:
            await moving.to_files(layout, stop, _say)
        else:
            await moving.to_etcd(layout, wanted, stop, _say)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
