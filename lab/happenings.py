"""Events of recovery as examples, and a process that tells webhooks of one and is then killed.

`python -m lab.happenings ROOT NAME…` says a line when each event is owed, and sends what it can.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from pyganeti.base import log, paths
from pyganeti.model import cause as causes
from pyganeti.watcher import events
from pyganeti.watcher.telling import webhooks

_AN_EVENT = events.Event(
    kind=events.Kind.RESTARTED,
    instance="web1.example.com",
    node="node1.example.com",
    at=1_700_000_001.5,
    cause=causes.Cause.KILLED,
    stopped=1_700_000_000.25,
    key="qemu-1",
    attempt=1,
    job=17,
    seconds=1.25,
    text="started again",
)


def an_event(**changes: Any) -> events.Event:  # noqa: ANN401 - any field
    """Return an event, with changes."""
    return msgspec.structs.replace(_AN_EVENT, **changes)


async def _tell(root: Path, names: list[str]) -> None:
    log.configure(program="happenings", foreground=True)
    told = webhooks.Webhooks(paths.Paths(root, "node1.example.com"), lambda: "cluster")
    await told.start()
    for name in names:
        await told.on_event(an_event(instance=name, key=f"of {name}"))
        os.write(1, f"owed {name}\n".encode())
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(_tell(Path(sys.argv[1]), sys.argv[2:]))
