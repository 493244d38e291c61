"""What a node's files say of its watcher: whether its daemon runs, and when passes ended."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pyganeti.base import daemons, paths

PROGRAM: Final = "ganeti-watcher"
_STATE: Final = re.compile(r"watcher\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.data")


@dataclass(frozen=True, slots=True)
class Found:
    """The daemon's pid, if it runs; and when the last pass over a node group ended, if any did.

    The latter is in seconds since 1970.
    """

    pid: int | None
    last_pass: float | None


def find(layout: paths.Paths) -> Found:
    """Look at this node's watcher. Blocks for a moment; raises OSError if that cannot be looked at.

    A pass over a group, Ganeti's watcher's too, writes or touches the group's state file.
    """
    times = [
        path.stat().st_mtime
        for path in layout.state_dir.glob("watcher.*.data")
        if _STATE.fullmatch(path.name)
    ]
    return Found(daemons.running(layout, PROGRAM), max(times, default=None))


def paused(until: float | None) -> str:
    """Say until when the watcher rests."""
    if until is None:
        return "The watcher is not paused."
    return f"The watcher is paused until {_moment(until)}."


def told(found: Found) -> Iterator[str]:
    """Say whether this node's daemon runs, and when the last pass ended."""
    if found.pid is None:
        yield "Its daemon does not run on this node."
    else:
        yield f"Its daemon runs on this node (pid {found.pid})."
    if found.last_pass is None:
        yield "No pass over a node group has been made on this node."
    else:
        yield f"The last pass over a node group ended at {_moment(found.last_pass)}."


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))
