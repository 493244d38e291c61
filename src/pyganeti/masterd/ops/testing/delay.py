"""OP_TEST_DELAY: wait, on the master, on nodes, or until somebody knocks on a socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pyganeti.base import errors, files
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config import node, snapshot
from pyganeti.model.opcodes import testing

_GRACE = 5.0
"""Seconds that a node's answer may take beyond the delay itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to wait besides here."""

    nodes: tuple[node.Node, ...]


class Delay(operation.Operation[testing.TestDelay, Plan]):
    """Waits ``repeat`` times (0: once)."""

    opcode = testing.TestDelay

    def locks(self, op: testing.TestDelay, snapshot: snapshot.Snapshot) -> levels.Wanted:
        """Lock the nodes it waits on, unless it is to lock none."""
        nodes = [one.uuid for one in _nodes(op, snapshot)]
        if op.on_master:
            nodes.append(snapshot.cluster.master_node)
        return {} if op.no_locks else {levels.Level.NODE: levels.exclusive(nodes)}

    async def prepare(self, context: contexts.Context, op: testing.TestDelay) -> Plan:
        """Check that the time is one."""
        if op.duration <= 0:
            raise errors.BadInput("Duration must be greater than zero")
        return Plan(tuple(_nodes(op, context.snapshot)))

    async def execute(self, context: contexts.Context, op: testing.TestDelay, plan: Plan) -> None:
        """Wait, as often as asked for, or until interrupted."""
        for round_ in range(op.repeat or 1):
            if op.repeat:
                context.info(f"Test delay iteration {round_}/{op.repeat - 1}")
            if op.interruptible:
                if await _until_interrupted(context, op.duration):
                    break
                continue
            async with asyncio.TaskGroup() as group:
                if op.on_master:
                    group.create_task(asyncio.sleep(op.duration))
                asked = group.create_task(
                    context.nodes.each(
                        plan.nodes, "test_delay", (op.duration,), timeout=op.duration + _GRACE
                    )
                )
            for answer in asked.result().values():
                answer.unwrap()


def _nodes(op: testing.TestDelay, snapshot: snapshot.Snapshot) -> list[node.Node]:
    return [snapshot.node(name) for name in op.on_node_uuids or op.on_nodes]


async def _until_interrupted(context: contexts.Context, duration: float) -> bool:
    """Wait, or until somebody connects to a socket and sends something; return whether one did."""
    interrupted = asyncio.Event()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            if await reader.read(1):
                interrupted.set()

    async with _socket(context, on_connection) as path:
        context.run.log([path], "delay-test")
        try:
            async with asyncio.timeout(duration):
                await interrupted.wait()
        except TimeoutError:
            return False
    context.say("Interrupted")
    return True


@contextlib.asynccontextmanager
async def _socket(context: contexts.Context, on_connection: object) -> AsyncIterator[str]:
    directory = context.layout.run_dir / "socket"
    files.make_directories(directory)
    path = directory / f"delay-{context.run.job_id}-{context.run.index}"
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(on_connection, path)  # type: ignore[arg-type]
    try:
        yield str(path)
    finally:
        server.close()
        path.unlink(missing_ok=True)


OPERATION = Delay()
