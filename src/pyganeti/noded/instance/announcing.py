"""Saying what is about to be done to a qemu, durably, before it is done.

Whoever judges afterwards why a guest stopped reads it. An announcement that cannot be written is
logged and the act goes on: a stop that an administrator wants must work on a full disk, too.
"""

import asyncio
import time

from pyganeti.base import files, log
from pyganeti.model import intent
from pyganeti.noded.instance import reasons
from pyganeti.noded.qemu import places, process
from pyganeti.wire import intentfile

_LOG = log.get(__name__)


async def announce(
    where: places.Places,
    running: process.Running,
    kind: intent.IntentKind,
    seconds: float,
    trail: reasons.Trail,
) -> None:
    """Write the intent; it counts for this qemu and for so many seconds."""
    now = time.time()
    content = intentfile.encode(
        intent.Intent(
            kind=kind,
            pid=running.pid,
            written=now,
            deadline=now + seconds,
            job=reasons.job(trail),
            reason=reasons.summary(trail, str(kind)),
        )
    )
    path = where.control / (running.name + places.INTENT)
    try:
        await asyncio.to_thread(files.write_durably, path, content)
    except OSError as error:
        _LOG.error("an intent cannot be written", name=running.name, kind=kind, error=str(error))


def withdraw(where: places.Places, name: str) -> None:
    """Remove an intent whose act did not come to be. Blocks shortly."""
    try:
        (where.control / (name + places.INTENT)).unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("an intent cannot be removed", name=name, error=str(error))
