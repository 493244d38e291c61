"""The daemon: waits until it may lead, leads, and ends in order.

Start: lock the pid file, wait until this node may be the master (`backing`), begin to lead
(`reign`), say that we are ready. It ends on SIGTERM or SIGINT, and when the leadership is lost:
then it says why, as an error.
"""

import asyncio
import contextlib
import gc

from pyganeti.base import daemon, descriptors, log, running, systemd
from pyganeti.masterd import reign, settings
from pyganeti.masterd.backing import choosing
from pyganeti.masterd.election import leadership

_LOG = log.get(__name__)


def run(chosen: settings.Settings) -> int:
    """Run the daemon until it is told to end; return the exit code.

    Without ``foreground`` this returns in the parent as soon as the daemon is ready, or has said
    why it cannot be.
    """
    return running.run(
        settings.PROGRAM, chosen, [chosen.pid_file], lambda held: _serve(chosen, held)
    )


async def _serve(chosen: settings.Settings, held: running.Run) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    daemon.signals(loop, on_stop=stopped.set, on_reload=held.reopen_log)
    descriptors.raise_limit()
    backing = choosing.of(chosen)
    async with contextlib.AsyncExitStack() as stack:
        tenure = await stack.enter_async_context(backing.won())
        leading = await stack.enter_async_context(reign.begun(chosen, tenure, stopped.set))
        gc.collect()
        gc.freeze()
        held.started.ready()
        systemd.notify("READY=1")
        watching = loop.create_task(_tell_watchdog())
        try:
            why = await _ended(stopped, leading)
        finally:
            watching.cancel()
        systemd.notify("STOPPING=1")
    if why:
        raise leadership.NotLeading(why)
    _LOG.info("ended")


async def _ended(stopped: asyncio.Event, leading: leadership.Leadership) -> str:
    """Wait for the end; return why the leadership was lost, nothing if we are told to end."""
    stopping = asyncio.create_task(stopped.wait())
    losing = asyncio.create_task(leading.lost())
    try:
        await asyncio.wait({stopping, losing}, return_when=asyncio.FIRST_COMPLETED)
        return losing.result() if losing.done() else ""
    finally:
        stopping.cancel()
        losing.cancel()


async def _tell_watchdog() -> None:
    """Tell systemd that the loop turns, as often as it wants to hear."""
    seconds = systemd.watchdog_seconds()
    while seconds:
        systemd.notify("WATCHDOG=1", patience=0)
        await asyncio.sleep(seconds / 3)
