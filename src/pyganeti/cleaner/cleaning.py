"""One run: what is there to clean, in which order, and how it is told.

A run leaves a log of its own beside those of earlier ones, of which the last fifty are kept. Each
kind of thing is cleaned whatever became of the others.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pyganeti.base import errors, files, log, paths, ssconf
from pyganeti.cleaner import broom, journal, sweeping

Part: TypeAlias = Literal["node", "master"]
Sweep: TypeAlias = Callable[[paths.Paths, broom.Count, float], None]

PARTS: Final[tuple[Part, ...]] = ("node", "master")
PROGRAM: Final = "ganeti-cleaner"

_KEPT_LOGS: Final = 50
_FOLDERS: Final = {"node": "cleaner", "master": "master-cleaner"}
_LOG: Final = log.get(__name__)

_ANYWHERE: Final[tuple[Sweep, ...]] = (sweeping.keys, sweeping.signs_of_life)
_ON_NODES: Final[tuple[Sweep, ...]] = (sweeping.passes, sweeping.half_written)
_ON_MASTERS: Final[tuple[Sweep, ...]] = (sweeping.archive,)


async def clean(layout: paths.Paths, part: Part, *, dry_run: bool, debug: bool = False) -> int:
    """Clean what belongs to a node, or to a master; return the exit code."""
    now = time.time()
    target = log.configure(
        program=PROGRAM,
        foreground=dry_run or debug,
        debug=debug,
        file=None if dry_run else _log_file(layout, part, now),
    )
    try:
        return await _clean(layout, part, now, dry_run=dry_run)
    finally:
        target.close()


async def _clean(layout: paths.Paths, part: Part, now: float, *, dry_run: bool) -> int:
    count = broom.Count(dry_run=dry_run)
    _LOG.info("cleaning", part=part, dry_run=dry_run)
    if not dry_run:
        _forget_logs(layout, part, count)
    for sweep in _sweeps(layout, part, count):
        sweep(layout, count, now)
    if part == "node" and not await journal.prune(layout, dry_run=dry_run):
        count.failed += 1
    _LOG.info("cleaned", part=part, removed=count.removed, failed=count.failed)
    return 1 if count.failed else 0


def _sweeps(layout: paths.Paths, part: Part, count: broom.Count) -> tuple[Sweep, ...]:
    """Return what is to be swept; on a machine in no cluster that is little."""
    try:
        in_cluster = ssconf.read(layout, "master_node") is not None
    except errors.Failure as error:
        _LOG.error("what the cluster left is passed over", why=str(error))
        count.failed += 1
        in_cluster = False
    if part == "master":
        return _ON_MASTERS if in_cluster else ()
    return _ANYWHERE + (_ON_NODES if in_cluster else ())


def _log_file(layout: paths.Paths, part: Part, now: float) -> Path | None:
    """Return this run's log, None (standard error stands in) if there can be none."""
    folder = layout.log_dir / _FOLDERS[part]
    try:
        files.make_directories(folder)
    except OSError:
        return None
    moment = time.strftime("%Y-%m-%dT%H_%M", time.localtime(now))
    return folder / f"cleaner-{moment}.{os.getpid()}.log"


def _forget_logs(layout: paths.Paths, part: Part, count: broom.Count) -> None:
    with broom.opened(count, layout.log_dir, _FOLDERS[part]) as place:
        if place is None:
            return
        logs = [one.name for one in place.files() if one.name.startswith("cleaner-")]
        for name in logs[:-_KEPT_LOGS]:
            place.remove(name, "there are newer ones")
