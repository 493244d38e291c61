"""A move of a cluster into etcd or back that kills itself with SIGKILL at one step.

    python -m lab.dyingmove ROOT NAME etcd|files STEP [STORE]

The product has no switches for that. Its code runs under a profiler's hook, which sees every call
in the modules that move; at the STEP-th the process dies. With 0 it lives on, and prints how many
there were. STORE is a file like ``store.json``. The lease of one that dies is short: the
next try has to wait for its end.
"""

import asyncio
import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pyganeti.base import paths
from pyganeti.masterd.backing.etcd import moving
from pyganeti.wire import storefile

SECONDS: Final = 3
"""Of the lease of one that is to live: on a machine that is busy, a short one is lost."""

_DYING: Final = 1
_WATCHED: Final = frozenset(
    f"pyganeti.{name}"
    for name in (
        "base.files",
        "clients.configlabel",
        "clients.etcd.client",
        "clients.promises",
        "masterd.backing.etcd.chain",
        "masterd.backing.etcd.moving",
        "masterd.backing.etcd.shelf",
        "masterd.backing.etcd.store",
        "masterd.config.filestore",
        "masterd.jobs.files",
    )
)


class Death:
    """The hook; ``step`` counts from 1, 0 is never."""

    def __init__(self, step: int) -> None:
        self.step = step
        self._steps = itertools.count(1)
        self.last = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:  # noqa: ANN401 - any value
        """Take a step of any thread."""
        if event == "call" and frame.f_globals.get("__name__") in _WATCHED:
            self.last = next(self._steps)
            if self.last == self.step:
                os.kill(os.getpid(), signal.SIGKILL)


async def move(
    layout: paths.Paths,
    to: str,
    store: Path | None,
    stopped: list[str] | None = None,
    *,
    seconds: int = SECONDS,
) -> None:
    """Move the cluster; there is no daemon to be stopped, but it is noted when one would be."""
    noted = [] if stopped is None else stopped

    async def stop() -> None:
        noted.append(to)

    if store is not None and to == "etcd":
        kept = storefile.decode(store.read_bytes())  # noqa: ASYNC240 - nothing else runs
        await moving.to_etcd(layout, kept, stop, _silently, seconds=seconds)
    else:
        await moving.to_files(layout, stop, _silently, seconds=seconds)


def _silently(_: str) -> None:
    """Say nothing."""


def main(words: list[str]) -> None:
    """Move, or die."""
    root, name, to, step, *rest = words
    hook = Death(int(step))
    threading.setprofile(hook)
    sys.setprofile(hook)
    store = Path(rest[0]) if rest else None
    asyncio.run(
        move(paths.Paths(Path(root), name), to, store, seconds=_DYING if hook.step else SECONDS)
    )
    sys.setprofile(None)
    print(hook.last)


if __name__ == "__main__":
    main(sys.argv[1:])
