"""Calls on the copies of the job queue: one after the other, under the lock that all agree on."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pyganeti.base import filelock
from pyganeti.noded import calls, queuefiles
from pyganeti.noded import node as nodes
from pyganeti.wire import noderpc


def _one_by_one(_arguments: Sequence[Any]) -> str:
    return "the job queue"


async def jobqueue_update(node: nodes.Node, file_name: str, content: list[Any]) -> None:
    """Replace a file of the queue by a blob's content."""
    path = queuefiles.place_of(node.paths, file_name)
    data = await asyncio.to_thread(noderpc.decode_blob, content)
    async with filelock.exclusive(queuefiles.lock_of(node.paths)):
        await asyncio.to_thread(queuefiles.update, node.paths, path, data)


async def jobqueue_rename(node: nodes.Node, renames: list[tuple[str, str]]) -> list[None]:
    """Give files other names, to archive them; pairs of old and new."""
    found = [tuple(queuefiles.place_of(node.paths, name) for name in pair) for pair in renames]
    async with filelock.exclusive(queuefiles.lock_of(node.paths)):
        for old, new in found:
            await asyncio.to_thread(queuefiles.rename, node.paths, old, new)
    return [None] * len(found)


async def jobqueue_purge(node: nodes.Node) -> None:
    """Remove all jobs."""
    async with filelock.exclusive(queuefiles.lock_of(node.paths)):
        await asyncio.to_thread(queuefiles.purge, node.paths)


async def jobqueue_set_drain_flag(node: nodes.Node, drained: bool) -> None:  # noqa: FBT001 - the wire's order
    """Say whether the queue takes no more jobs."""
    async with filelock.exclusive(queuefiles.lock_of(node.paths)):
        await asyncio.to_thread(queuefiles.set_drained, node.paths, drained=drained)


CALLS: Final = (
    calls.Call("jobqueue_update", jobqueue_update, _one_by_one),
    calls.Call("jobqueue_rename", jobqueue_rename, _one_by_one),
    calls.Call("jobqueue_purge", jobqueue_purge, _one_by_one),
    calls.Call("jobqueue_set_drain_flag", jobqueue_set_drain_flag, _one_by_one),
)
