"""The daemon: leads, or stands by until it may, and ends in order.

With a backing on which nobody stands by, the start is: lock the pid file, have it confirmed that
this node is the master (`backing`), begin to lead (`reign`), say that we are ready. It ends when
the leadership is lost, and says why, as an error.

Where candidates stand by, it is ready as soon as it answers commands, by whoever leads. It leads
when it may, any number of times; what one reign has held is gone with it, and the next one makes
everything anew. A reign that cannot begin leaves the place to others for a while, longer each time.

Both end on SIGTERM and SIGINT. One that does not come to its end takes the process with it: whoever
was deposed must not go on.
"""

import asyncio
import contextlib
import gc
import os
import random
from collections.abc import AsyncIterator
from typing import Final

import pyganeti
from pyganeti.base import daemon, descriptors, errors, log, running, services, systemd
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import figures, reign, settings
from pyganeti.masterd.backing import backing, choosing
from pyganeti.masterd.election import leadership
from pyganeti.masterd.server import forwarding, server, switching
from pyganeti.metrics import page as pages
from pyganeti.metrics import serving

_LOG = log.get(__name__)

_PAUSES: Final = (2.0, 60.0)
"""Seconds after a reign that could not begin: the first time, and the longest."""

_END_PATIENCE: Final = 60.0
"""Seconds in which a reign has to have ended that was lost."""

_STUCK: Final = 70
"""The exit status of a process that could not end its reign."""


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
    daemon.signals(asyncio.get_running_loop(), on_stop=stopped.set, on_reload=held.reopen_log)
    descriptors.raise_limit()
    page = pages.Page("masterd", pyganeti.__version__)
    counted = figures.Figures(page)
    async with serving.served(page, chosen.metrics), choosing.of(chosen) as chosen_backing:
        with counted.kept_in(chosen_backing):
            if chosen_backing.stands_by:
                await _serve_in_turn(chosen, held, stopped, chosen_backing, counted)
            else:
                await _serve_once(chosen, held, stopped, chosen_backing, counted)
    _LOG.info("ended")


async def _serve_once(
    chosen: settings.Settings,
    held: running.Run,
    stopped: asyncio.Event,
    kept: backing.Backing,
    counted: figures.Figures,
) -> None:
    async with kept.won() as tenure:
        begun = reign.begun(chosen, tenure, stopped.set, counted=counted)
        async with begun as leading:
            _hold_still()
            async with _ready(held):
                why = await _ended(stopped, leading)
    if why:
        raise leadership.NotLeading(why)


async def _serve_in_turn(
    chosen: settings.Settings,
    held: running.Run,
    stopped: asyncio.Event,
    kept: backing.Backing,
    counted: figures.Figures,
) -> None:
    layout = chosen.layout
    caller = nodeclient.Caller(nodeclient.context_of(layout), port=services.port("ganeti-noded"))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(caller)
        door = switching.Switch(
            forwarding.Forwarding(caller, lambda: kept.leader, lambda: kept.is_leader)
        )
        kept.follow(door.change)
        luxi = await stack.enter_async_context(
            server.Server([layout.query_socket, layout.master_socket], door, node=layout.node_name)
        )
        stack.enter_context(counted.door(lambda: luxi.count))
        await stack.enter_async_context(_ready(held))
        turns = _Turns(chosen, stopped, kept, door, counted)
        reigning = asyncio.create_task(turns.run())
        stopping = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({reigning, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if turns.waits:
                reigning.cancel()
            await asyncio.wait({reigning, stopping})
        if not reigning.cancelled():
            reigning.result()


class _Turns:
    """Leads whenever this node may, until it is told to end."""

    def __init__(
        self,
        chosen: settings.Settings,
        stopped: asyncio.Event,
        kept: backing.Backing,
        door: switching.Switch,
        counted: figures.Figures,
    ) -> None:
        self._counted = counted
        self._chosen = chosen
        self._stopped = stopped
        self._kept = kept
        self._door = door
        self.waits = True
        """Whether there is nothing that would have to be brought to its end."""

    async def run(self) -> None:
        """Stand by, lead, and stand by again."""
        pause = _PAUSES[0]
        while not self._stopped.is_set():
            self.waits = True
            _LOG.info("standing by", kept_in=self._kept.kind)
            try:
                async with self._kept.won() as tenure:
                    self.waits = False
                    await self._reign(tenure)
                pause = _PAUSES[0]
            except leadership.Gone:
                raise
            except errors.Failure as error:
                self.waits = True
                _LOG.error("this node cannot lead; others may", why=str(error), pause=pause)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, _PAUSES[1])

    async def _reign(self, tenure: backing.Tenure) -> None:
        over: asyncio.TimerHandle | None = None
        try:
            begun = reign.begun(self._chosen, tenure, self._stopped.set, self._door, self._counted)
            async with begun as leading:
                _hold_still()
                why = await _ended(self._stopped, leading)
                if why:
                    _LOG.error("this node leads no more, and stands by", why=why)
                    over = asyncio.get_running_loop().call_later(_END_PATIENCE, _end_at_once)
        finally:
            gc.unfreeze()
            if over is not None:
                over.cancel()


def _end_at_once() -> None:
    _LOG.error("a reign that is lost does not end, so the process does")
    os._exit(_STUCK)


def _hold_still() -> None:
    """Have the collector look no more at what stays for as long as this goes on."""
    gc.collect()
    gc.freeze()


@contextlib.asynccontextmanager
async def _ready(held: running.Run) -> AsyncIterator[None]:
    """Say that the daemon is ready, until left; then that it ends."""
    held.started.ready()
    systemd.notify("READY=1")
    watching = asyncio.create_task(_tell_watchdog())
    try:
        yield
    finally:
        watching.cancel()
        systemd.notify("STOPPING=1")


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
