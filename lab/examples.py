"""Stops and guests as they are in life, in size too, for tests and benchmarks."""

import time
from typing import Any

import msgspec

from pyganeti.model import cause, evidence, stop

BOOT = "0f2b6e2e-4df1-4d53-9a3e-5f4c36b3a1ff"


def a_stop(number: int = 1, **changes: Any) -> stop.Stop:  # noqa: ANN401 - any field
    """Return the stop of guest ``number``; the same number is the same qemu."""
    now = time.time()
    found = stop.Stop(
        name=f"instance{number}.example.com",
        key=f"{BOOT[:8]}-{number + 4000}-{number * 97}-{number:x}-{number * 7919:x}",
        boot_id=BOOT,
        socket=f"instance{number}.example.com.kvmd",
        pid=number + 4000,
        started=now - 1000,
        stopped=now,
        recorded=now,
        cause=cause.Cause.USER_POWEROFF,
        why="the guest powered itself off and nobody had asked for it",
        evidence=evidence.Evidence(
            pid=number + 4000,
            attachment=evidence.Attachment.WHOLE,
            attached_at_end=True,
            events=(evidence.QmpEvent(now, "SHUTDOWN", "guest-shutdown", guest=True),),
            status="running",
            ended=False,
        ),
        qemu="7.2.22",
    )
    return msgspec.structs.replace(found, **changes)


def watched(of: stop.Stop, **changes: Any) -> stop.Watched:  # noqa: ANN401 - any field
    """Return the row of a guest before it stopped."""
    found = stop.Watched(
        name=of.name,
        key=of.key,
        boot_id=of.boot_id,
        socket=of.socket,
        pid=of.pid,
        start_ticks=1234,
        started=of.started,
        since=of.recorded - 500,
        qemu=of.qemu,
    )
    return msgspec.structs.replace(found, **changes)
