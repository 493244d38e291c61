"""Ending a qemu that runs: politely, at once, or because its guest has stopped already."""

import asyncio
import math
import time
from typing import Final

from pyganeti.base import errors, log, processes
from pyganeti.model import instance as instances
from pyganeti.model import intent
from pyganeti.noded.instance import announcing, hypervisor, reasons
from pyganeti.noded.qemu import monitor, process

_LOG = log.get(__name__)

_PRESS_PAUSE: Final = 5.0
"""Seconds between presses of the power button, as in Ganeti; booting guests miss the first."""

_LOOK_PAUSE: Final = 1.0
_KILL_PATIENCE: Final = 30.0
_WATCHER_PATIENCE: Final = 3.0
"""Seconds that kvmd has to record the end of a guest and to let its qemu go."""

_MARGIN: Final = 10.0
_PRESS_PATIENCE: Final = 5.0
_STOPPED: Final = "shutdown"
_PANICKED: Final = "guest-panicked"
_HOLDS: Final = "shutdown=pause"
_KEEPS_PANICKED: Final = "panic=pause"
_DEAF: Final = frozenset(("prelaunch", "inmigrate", "postmigrate"))
"""States in which there is no guest to hear of a power button."""


def is_over(status: str, running: process.Running) -> bool:
    """Tell whether a guest has stopped, and its qemu stays only until that is on record.

    One that has panicked is held, too, unless its qemu was told to keep it (``panic=pause``).
    """
    if status == _PANICKED:
        is_held = any(_HOLDS in word for word in running.line)
        return is_held and not any(_KEEPS_PANICKED in word for word in running.line)
    return status == _STOPPED


async def power_down(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    hold: process.Hold,
    timeout: float,
    trail: reasons.Trail,
) -> None:
    """Have the guest power itself off; when it has not after so many seconds, kill its qemu.

    Without ACPI nothing can be asked of it. Raises Failure if not even SIGKILL ends it.
    """
    running = hold.running
    loop = asyncio.get_running_loop()
    if instance.hvparams.acpi and timeout > 0:
        await announcing.announce(
            host.where, running, intent.IntentKind.POWERDOWN, timeout + _MARGIN, trail
        )
        deadline = loop.time() + timeout
        pressed = -math.inf
        while (left := deadline - loop.time()) > 0:
            press = loop.time() - pressed >= _PRESS_PAUSE
            if press:
                pressed = loop.time()
            status = await _press(host, running.name, press=press)
            if is_over(status, running):
                await let_go(host, running)
                return
            if status in _DEAF:
                break
            if await hold.ended(min(_LOOK_PAUSE, left)):
                return
        _LOG.warning("a guest does not power down and is killed", name=running.name)
    await announcing.announce(host.where, running, intent.IntentKind.KILL, _KILL_PATIENCE, trail)
    hold.kill()
    if not await hold.ended(_KILL_PATIENCE):
        raise errors.Failure(f"qemu of {running.name} (pid {running.pid}) does not end by SIGKILL")


async def discard(host: hypervisor.Hypervisor, running: process.Running, why: str) -> None:
    """Kill a qemu whose guest never ran here, and say so first: nobody is to take it for a stop.

    ``why`` is for people. Nothing is said of one that is ending by itself. Raises Failure if it
    does not end.
    """
    with process.held(running) as hold:
        if hold is None:
            return
        if not processes.is_ending(running.pid):
            trail = [(reasons.ACTED, why, time.time_ns())]
            kind = intent.IntentKind.KILL
            await announcing.announce(host.where, running, kind, _KILL_PATIENCE, trail)
        await _kill(hold)


async def kill(running: process.Running) -> None:
    """Kill a qemu whose end was announced before. Raises Failure if it does not end."""
    with process.held(running) as hold:
        if hold is not None:
            await _kill(hold)


async def _kill(hold: process.Hold) -> None:
    hold.kill()
    if not await hold.ended(_KILL_PATIENCE):
        raise errors.Failure(f"qemu of {hold.running.name} does not end by SIGKILL")


async def let_go(host: hypervisor.Hypervisor, running: process.Running) -> None:
    """End a qemu that has stayed after its guest powered off, or panicked.

    kvmd does so once it has recorded the end; it is given time for that, since with the qemu the
    evidence goes. No intent is written: nobody here ends this guest, it has ended.
    """
    with process.held(running) as hold:
        if hold is None or await hold.ended(_WATCHER_PATIENCE):
            return
        _LOG.warning("nobody lets a stopped guest's qemu go", name=running.name, pid=running.pid)
        try:
            async with monitor.open(host.where.socket(running.name, ".qmp")) as talk:
                await talk.execute("quit")
        except errors.Unavailable:
            hold.kill()
        if not await hold.ended(_KILL_PATIENCE):
            hold.kill()
            if not await hold.ended(_KILL_PATIENCE):
                raise errors.Failure(f"qemu of {running.name} does not end by SIGKILL")


async def _press(host: hypervisor.Hypervisor, name: str, *, press: bool) -> str:
    """Press the power button; return the guest's state, empty if qemu does not say."""
    try:
        async with monitor.open(host.where.socket(name, ".qmp"), patience=_PRESS_PATIENCE) as talk:
            status = await talk.status()
            if press and status not in _DEAF and status != _STOPPED:
                await talk.execute("system_powerdown")
            return status
    except monitor.Gone:
        return ""
    except errors.Failure as error:
        _LOG.warning("the power button cannot be pressed", name=name, error=str(error))
        return ""
