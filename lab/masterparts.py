"""A master's parts without its daemon: configuration, queue, locks, and what carries opcodes out.

    async with masterparts.opened(root, clusters.small()) as parts:
        results = await parts.run(testing.TestDelay(duration=0.1))

Nodes are called for real; a cluster whose nodes do not exist has to have them marked offline.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pyganeti.base import paths
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.config import filestore, state
from pyganeti.masterd.jobs import queue
from pyganeti.masterd.locks import manager
from pyganeti.masterd.ops import context, performer, table
from pyganeti.masterd.queries import cluster, engine
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table
from pyganeti.model.opcodes import base
from pyganeti.model.opcodes import table as opcodes
from pyganeti.wire import luxi, luxierrors

_PATIENCE = 30.0
_ENDED = frozenset({"success", "error", "canceled"})


@dataclass(frozen=True, slots=True)
class Parts:
    """What is open."""

    layout: paths.Paths
    config: state.Config
    queue: queue.Queue
    locks: manager.Manager
    nodes: calling.Nodes

    async def submit(self, *ops: base.Opcode) -> int:
        """Submit a job; return its number."""
        return await self.queue.submit([opcodes.to_wire(op) for op in ops])

    async def ended(self, job: int) -> str:
        """Wait until a job has ended; return how."""
        status, heard = "", 0
        while status not in _ENDED:
            news = await self.queue.wait_for_change(job, ["status"], [status], heard, _PATIENCE)
            if news == luxi.NOT_CHANGED:
                raise TimeoutError(f"job {job} is {status} and does not end")
            [status], messages = news
            heard = max((message[0] for message in messages), default=heard)
        return status

    async def run(self, *ops: base.Opcode) -> list[Any]:
        """Have opcodes carried out as one job; return their results, raise the first failure."""
        job = await self.submit(*ops)
        await self.ended(job)
        [[status, states, results]] = await self.values(job, "status", "opstatus", "opresult")
        for opcode_state, result in zip(states, results, strict=True):
            if opcode_state == "error":
                raise luxierrors.decode(result)
        if status != "success":
            raise luxierrors.JobCanceled(f"job {job} ended as {status}")
        return list(results)

    async def said(self, job: int) -> list[Any]:
        """Return what a job's opcodes have said."""
        [[logs]] = await self.values(job, "oplog")
        return [entry[3] for log in logs for entry in log]

    async def values(self, job: int, *names: str) -> list[list[Any]]:
        """Return fields of a job, a row."""
        news = await self.queue.wait_for_change(job, list(names), None, None, _PATIENCE)
        return [list(news[0])]


def offline(snapshot: Snapshot) -> Snapshot:
    """Return a cluster whose nodes are all marked offline: nobody will call them."""
    nodes = {
        uuid: msgspec.structs.replace(node, offline=True) for uuid, node in snapshot.nodes.items()
    }
    return msgspec.structs.replace(snapshot, nodes=Table(nodes))


@contextlib.asynccontextmanager
async def opened(
    root: Path, snapshot: Snapshot | None = None, *, nodes: calling.Nodes | None = None
) -> AsyncIterator[Parts]:
    """Open the parts below a root; with a snapshot, make that the configuration first.

    ``nodes`` calls nodes; without it they are called without TLS, where they say that they are.
    """
    layout = paths.Paths(root, "node1.example.com")
    if snapshot is not None:
        filestore.create(layout, entries.from_snapshot(snapshot))
    async with contextlib.AsyncExitStack() as stack:
        config = await stack.enter_async_context(state.opened(filestore.FileStore(layout)))
        if nodes is None:
            nodes = calling.Nodes(await stack.enter_async_context(nodeclient.Caller(None)))
        locks = manager.Manager()
        carrier = performer.Performer(table.operations())
        jobs = queue.Queue(layout.queue_dir, carrier, reprioritized=locks.reconsider)
        answering = engine.Engine(
            config=config,
            nodes=nodes,
            queue=jobs,
            locks=locks,
            surroundings=cluster.Here(lambda: jobs.is_drained, layout.watcher_pause),
        )
        carrier.services = context.Services(
            layout=layout,
            config=config,
            nodes=nodes,
            locks=locks,
            engine=answering,
            stop=lambda: None,
        )
        await stack.enter_async_context(jobs)
        yield Parts(layout, config, jobs, locks, nodes)
