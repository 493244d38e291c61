"""The master daemon's LUXI in this process: real sockets, queue and engine, over any configuration.

    async with luxiservers.started(root, clusters.small()) as running:
        with running.client() as client:
            answer = await asyncio.to_thread(client.query_cluster_info)

Jobs are carried out by `Working`: OP_TEST_DELAY takes its time and says so, anything else ends at
once. Nodes are those that are given; without any, all of them are down.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyganeti.base import errors, paths
from pyganeti.clients import luxi, luxichannel
from pyganeti.masterd import nodes
from pyganeti.masterd.jobs import queue, work
from pyganeti.masterd.locks import manager
from pyganeti.masterd.queries import cluster, engine
from pyganeti.masterd.server import crowd as crowds
from pyganeti.masterd.server import methods, server
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

GROUP = "no-such-group"
"""Sockets of tests are for nobody else."""


@dataclass(slots=True)
class Fixed:
    """A configuration that nobody changes."""

    current: Snapshot

    async def change(self, edit: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what the edit returns
        """Refuse."""
        raise errors.Unavailable(f"nobody changes this configuration: {edit}")


class Nobody:
    """Nodes of which none answers."""

    async def each(
        self,
        asked: Iterable[Node],
        name: str,
        arguments: Sequence[object] | Callable[[Any], Sequence[object]] = (),
        *,
        timeout: float | None = None,
    ) -> dict[str, nodes.Answer]:
        """Return that each is down, or was not asked."""
        del arguments, timeout
        down = errors.Unavailable(f"{name}: nobody answers")
        return {node.uuid: nodes.Answer(error=down, offline=node.offline) for node in asked}


class Working:
    """Carries out opcodes of which nothing comes."""

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:  # noqa: ANN401 - JSON
        """Take the time that it should take."""
        await run.begin()
        if opcode["OP_ID"] == "OP_TEST_DELAY":
            run.log(f"it takes {opcode['duration']} s")
            await asyncio.sleep(opcode["duration"])


@dataclass(slots=True)
class Running:
    """What runs."""

    layout: paths.Paths
    serving: server.Server
    queue: queue.Queue
    engine: engine.Engine
    locks: manager.Manager
    table: methods.Methods

    def client(self, patience: luxichannel.Patience = luxichannel.PATIENCE) -> luxi.Client:
        """Return a command's client, for a thread."""
        return luxi.Client(self.layout, patience)

    def another(self) -> server.Server:
        """Return a second server for the same sockets."""
        sockets = [self.layout.query_socket, self.layout.master_socket]
        return server.Server(sockets, self.table, group=GROUP)


@contextlib.asynccontextmanager
async def started(
    root: Path,
    snapshot: Snapshot,
    *,
    config: Any = None,  # noqa: ANN401 - whatever keeps a configuration
    asking: Any = None,  # noqa: ANN401 - whatever asks nodes
    carrier: work.Work | None = None,
    clock: Callable[[], float] = time.time,
    crowd: crowds.Crowd | None = None,
    most: int | None = None,
) -> AsyncIterator[Running]:
    """Serve LUXI below a root until the block ends."""
    layout = paths.Paths(root, snapshot.master.name)
    layout.queue_dir.mkdir(parents=True, exist_ok=True)
    layout.ssconf("master_node").write_text(f"{snapshot.master.name}\n")
    kept = config or Fixed(snapshot)
    calling = asking or Nobody()
    locks = manager.Manager()
    async with queue.Queue(layout.queue_dir, carrier or Working(), clock=clock) as jobs:
        here = cluster.Here(
            lambda: jobs.is_drained, layout.state_dir / "watcher.pause", clock=clock
        )
        questions = engine.Engine(
            config=kept, nodes=calling, queue=jobs, locks=locks, surroundings=here
        )
        table = methods.Methods(queue=jobs, engine=questions, config=kept, nodes=calling)
        sockets = [layout.query_socket, layout.master_socket]
        async with server.Server(sockets, table, crowd=crowd, most=most, group=GROUP) as serving:
            yield Running(layout, serving, jobs, questions, locks, table)
