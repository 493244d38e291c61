"""The daemon: keeps this node's daemons up, has passes made, and recovers while this is the master.

Start: lock the pid file, say that we are ready, then see which daemons should run. What recovers is
run for as long as the node's own files say that it is the master; they are followed, so a failover
moves it within moments. Passes are processes of their own, as from cron: one that hangs or fails
holds up nothing here. End, on SIGTERM or SIGINT: daemons, instances and jobs stay as they are.

What fails in one of the three is logged and begun anew after a pause; it never ends the others.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pyganeti
from pyganeti.base import (
    daemon,
    daemons,
    descriptors,
    errors,
    filewatch,
    log,
    paths,
    runner,
    running,
    systemd,
)
from pyganeti.metrics import serving
from pyganeti.watcher import gate, keeper, passing, recovering, settings, surveying
from pyganeti.watcher.telling import telling

_LOG: Final = log.get(__name__)
_FIRST_PASS: Final = 15.0
_PASS: Final = 300.0
"""Seconds between two passes: as often as Ganeti's examples for cron have it."""

_STRICT: Final = 6
"""Every sixth pass waits for nodes that jobs work on, to look at their disks."""

_GLANCE: Final = 5.0
_PASS_PATIENCE: Final = 3600.0
_PAUSES: Final = (1.0, 60.0)


def run(chosen: settings.Settings) -> int:
    """Run the daemon until it is told to end; return the exit code.

    Without ``foreground`` this returns in the parent as soon as the daemon is ready, or has said
    why it cannot be.
    """
    return running.run(
        settings.PROGRAM, chosen, [chosen.pid_file], lambda held: _serve(chosen, held)
    )


async def _serve(chosen: settings.Settings, held: running.Run) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    told = telling.Telling(chosen.layout)

    def reload() -> None:
        held.reopen_log()
        told.reload()

    daemon.signals(loop, on_stop=stopped.set, on_reload=reload)
    descriptors.raise_limit()
    async with told, serving.served(told.page, chosen.metrics):
        await _work(chosen, held, stopped, told)


async def _work(
    chosen: settings.Settings,
    held: running.Run,
    stopped: asyncio.Event,
    told: telling.Telling,
) -> None:
    loop = asyncio.get_running_loop()
    name = await asyncio.to_thread(lambda: chosen.layout.hostname)
    door = gate.Gate(chosen.layout, ignores_pause=chosen.rounds.ignores_pause)
    keeping = keeper.Keeper(chosen.layout, name, door, observed=told.kept)
    tasks = [
        loop.create_task(_persistently("keeping daemons", keeping.run)),
        loop.create_task(
            _persistently("leading", lambda: _lead(chosen.layout, name, door, keeping, told))
        ),
        loop.create_task(_persistently("passes", lambda: _make_passes(chosen))),
        loop.create_task(_tell_watchdog()),
    ]
    _LOG.info("started", version=pyganeti.__version__, node=name)
    held.started.ready()
    systemd.notify("READY=1")
    try:
        await stopped.wait()
    finally:
        systemd.notify("STOPPING=1")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _LOG.info("ended")


async def _persistently(what: str, act: Callable[[], Awaitable[None]]) -> None:
    """Do something for ever: begin it anew, after growing pauses, whenever it fails."""
    pause = _PAUSES[0]
    while True:
        begun = asyncio.get_running_loop().time()
        try:
            await act()
        except errors.Failure as error:
            _LOG.error("it cannot go on, and is begun anew", what=what, why=str(error))
        except Exception:  # noqa: BLE001 - a task's top frame
            _LOG.exception("a fault of ours; it is begun anew", what=what)
        if asyncio.get_running_loop().time() - begun > _PAUSES[1]:
            pause = _PAUSES[0]
        await asyncio.sleep(pause * random.uniform(0.8, 1.0))
        pause = min(pause * 2, _PAUSES[1])


async def _lead(
    layout: paths.Paths,
    name: str,
    door: gate.Gate,
    keeping: keeper.Keeper,
    told: telling.Telling,
) -> None:
    """Have what recovers run for as long as this node is the master."""
    leading: asyncio.Task[None] | None = None
    try:
        async for _ in _changes(layout):
            is_master = await asyncio.to_thread(surveying.master, layout) == name
            if is_master and leading is None:
                _LOG.info("this node is the master: its watcher recovers")
                leading = asyncio.create_task(_recover(layout, door, told))
            elif not is_master and leading is not None:
                _LOG.info("this node is not the master any more")
                await _ended(leading)
                leading = None
            else:
                continue
            keeping.look()
    finally:
        await _ended(leading)


async def _recover(layout: paths.Paths, door: gate.Gate, told: telling.Telling) -> None:
    await _persistently("recovering", lambda: recovering.run(layout, door, told))


async def _ended(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _changes(layout: paths.Paths) -> AsyncIterator[None]:
    """Yield whenever the master may be another than before; and while there is no telling."""
    while True:
        try:
            async for _ in filewatch.changes(layout.ssconf("master_node")):
                yield
        except FileNotFoundError:  # in no cluster, yet
            yield
            await asyncio.sleep(_GLANCE)
        except OSError as error:
            raise errors.Unavailable(f"who the master is cannot be followed: {error}") from error


async def _make_passes(chosen: settings.Settings) -> None:
    """Have a pass made every five minutes."""
    await asyncio.sleep(_FIRST_PASS * random.uniform(0.8, 1.2))
    number = 0
    while True:
        await _make_pass(chosen, is_strict=number % _STRICT == 0)
        number += 1
        await asyncio.sleep(_PASS * random.uniform(0.95, 1.0))


async def _make_pass(chosen: settings.Settings, *, is_strict: bool) -> None:
    line = [*passing.command(), *passing.flags(chosen)]
    if not is_strict and chosen.rounds.is_strict:
        line.append("--no-strict")
    try:
        ended = await runner.run(line, environment=os.environ, timeout=_PASS_PATIENCE)
    except (OSError, errors.Exhausted) as error:
        _LOG.error("a pass cannot be made", why=str(error))
        return
    if ended.status != 0:
        _LOG.error("a pass failed", said=daemons.words(ended))


async def _tell_watchdog() -> None:
    """Tell systemd that the loop turns, as often as it wants to hear."""
    seconds = systemd.watchdog_seconds()
    while seconds:
        systemd.notify("WATCHDOG=1", patience=0)
        await asyncio.sleep(seconds / 3)
