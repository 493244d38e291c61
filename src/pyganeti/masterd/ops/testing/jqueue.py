"""OP_TEST_JQUEUE: tell somebody how far it is, wait until he has looked, and succeed or fail.

Whoever follows the job gets a socket, what it is for and a number with each message of the kind
``jqueue-test``: he connects, looks at the job, and disconnects; then it goes on. What he may
expect:

- ``expandnames``: it waits, and has no locks yet;
- ``exec``: it runs;
- ``startmsg``: so many messages will come;
- ``logmsg``: so many have been sent.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from pyganeti.base import errors, files, paths
from pyganeti.masterd.jobs import work
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import testing

_KIND: Final = "jqueue-test"
_PREFIX: Final = "TESTMSG="
_CONNECT: Final = 20.0
_LOOK: Final = 60.0
"""Seconds that somebody has to connect, and then to look."""


class Jqueue(operation.Operation[testing.TestJqueue, None]):
    """Exercises the queue with somebody who watches; answers true."""

    opcode = testing.TestJqueue

    async def announce(
        self, services: contexts.Services, op: testing.TestJqueue, run: work.Run
    ) -> None:
        """Have somebody see that it waits."""
        if op.notify_waitlock:
            await _notify(services.layout, run, "expandnames", None)

    def locks(self, op: testing.TestJqueue, snapshot: Snapshot) -> levels.Wanted:
        """Lock the master's node, for the sake of having a lock."""
        del op
        return {levels.Level.NODE: levels.exclusive([snapshot.cluster.master_node])}

    async def prepare(self, context: contexts.Context, op: testing.TestJqueue) -> None:
        """Check nothing."""

    async def execute(self, context: contexts.Context, op: testing.TestJqueue, plan: None) -> bool:
        """Say what it was told to, each time waiting for somebody to look."""
        del plan
        layout, run = context.layout, context.run
        if op.notify_exec:
            await _notify(layout, run, "exec", None)
        context.info("Executing")
        if op.log_messages:
            await _notify(layout, run, "startmsg", len(op.log_messages))
            for number, text in enumerate(op.log_messages, 1):
                context.info(f"Sending log message {number}")
                context.say(_PREFIX + text)
                await _notify(layout, run, "logmsg", number)
        if op.fail:
            raise errors.Failure("Opcode failure was requested")
        return True


async def _notify(layout: paths.Paths, run: work.Run, test: str, argument: int | None) -> None:
    """Wait until somebody has connected and disconnected; raises Failure if nobody does."""
    looked = asyncio.Event()
    connected = asyncio.Event()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        with contextlib.closing(writer), contextlib.suppress(OSError):
            await reader.read()
        looked.set()

    async with _socket(layout, run, on_connection) as path:
        run.log([path, test, argument], _KIND)
        try:
            async with asyncio.timeout(_CONNECT):
                await connected.wait()
            async with asyncio.timeout(_LOOK):
                await looked.wait()
        except TimeoutError as error:
            raise errors.Failure("nobody looked at the job in time, as was asked for") from error


@contextlib.asynccontextmanager
async def _socket(layout: paths.Paths, run: work.Run, on_connection: object) -> AsyncIterator[str]:
    directory = layout.run_dir / "socket"
    files.make_directories(directory)
    path = directory / f"jqueue-{run.job_id}-{run.index}"
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(on_connection, path)  # type: ignore[arg-type]
    try:
        yield str(path)
    finally:
        server.close()
        path.unlink(missing_ok=True)


OPERATION = Jqueue()
