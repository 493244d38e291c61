"""Halting a guest for a while, announced, so that its standstill is not taken for an end."""

import asyncio
from typing import Final

from pyganeti.base import errors
from pyganeti.model import intent
from pyganeti.noded.instance import announcing, hypervisor, reasons
from pyganeti.noded.qemu import monitor, process

_LONGEST: Final = 3600.0


async def pause(host: hypervisor.Hypervisor, name: str, trail: reasons.Trail) -> None:
    """Halt a running guest; raises Failure if there is none."""
    running = await asyncio.to_thread(process.find, host.where, name)
    if running is None:
        raise errors.BadInput(f"{name} does not run")
    await announcing.announce(host.where, running, intent.IntentKind.PAUSE, _LONGEST, trail)
    async with monitor.open(host.where.socket(name, ".qmp")) as talk:
        await talk.execute("stop")


async def resume(host: hypervisor.Hypervisor, name: str) -> None:
    """Let a halted guest go on; raises Failure if there is none."""
    async with monitor.open(host.where.socket(name, ".qmp")) as talk:
        await talk.execute("cont")
    await asyncio.to_thread(announcing.withdraw, host.where, name)
