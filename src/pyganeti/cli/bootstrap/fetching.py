"""Bringing this node's copies up to date with another's, before it becomes the master.

All that is written goes through this node's own node daemon, or is put in place as it would. The
queue is emptied first, its list of good copies with it, and gets that list last: cut off in between
it is known for what it is, and fetched again the next time.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from pyganeti.base import errors
from pyganeti.wire import noderpc, standings

_PLACE: Final = "/var/lib/ganeti/queue"
_AT_ONCE: Final = 8


class Call(Protocol):
    """Has a node carry out a call; raises Failure."""

    async def __call__(self, address: str, name: str, *arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Make it."""


async def config(call: Call, address: str) -> tuple[bytes, int]:
    """Return a node's copy of the configuration, and of which epoch it is. Raises Failure."""
    match await call(address, "master_config"):
        case {"data": blob, "epoch": int(epoch)}:
            return await asyncio.to_thread(noderpc.decode_blob, blob), epoch
    raise errors.Damaged(f"{address} answers nonsense when it is asked for its configuration")


async def queue(
    call: Call, source: str, target: str, good: standings.Good | None, say: Callable[[str], None]
) -> None:
    """Make the target's copy of the queue the source's, archived jobs aside. Raises Failure."""
    await call(target, "jobqueue_purge")
    after, count = 0, 0
    while True:
        page = await call(source, "master_jobs", after)
        match page:
            case {"serial": int(serial), "drained": bool(drained), "jobs": list(jobs)}:
                is_all = not page.get("more")
            case _:
                raise errors.Damaged(f"{source} answers nonsense when it is asked for its jobs")
        if not after:
            await _put(call, target, "serial", noderpc.encode_blob(b"%d\n" % serial))
            await call(target, "jobqueue_set_drain_flag", drained)
        await _put_all(call, target, jobs)
        count += len(jobs)
        if is_all or not jobs:
            break
        after = jobs[-1][0]
    if good is not None:
        await _put(call, target, "candidates", noderpc.encode_blob(msgspec.json.encode(good)))
    say(f"{count} jobs were fetched")


async def _put_all(call: Call, target: str, jobs: Iterable[tuple[int, Any]]) -> None:
    left = iter(jobs)

    async def some() -> None:
        for number, blob in left:
            await _put(call, target, f"job-{number}", blob)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())


async def _put(call: Call, target: str, name: str, blob: list[Any]) -> None:
    await call(target, "jobqueue_update", f"{_PLACE}/{name}", blob)
