"""How much memory a guest has: less than its maximum when the node is short of it."""

import asyncio
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log
from pyganeti.model import instance as instances
from pyganeti.noded.instance import hypervisor
from pyganeti.noded.qemu import monitor, process

_LOG = log.get(__name__)
_MEMINFO: Final = Path("/proc/meminfo")


def at_start(beparams: instances.BeParams, meminfo: Path = _MEMINFO) -> int:
    """Return the MiB to start with: as much of the maximum as is free, but the minimum at least."""
    if beparams.minmem == beparams.maxmem:
        return beparams.maxmem
    for line in meminfo.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            free = int(value.split()[0]) >> 10
            return max(beparams.minmem, min(beparams.maxmem, free))
    return beparams.maxmem


async def ask(
    host: hypervisor.Hypervisor, name: str, talk: monitor.Monitor, mebibytes: int
) -> None:
    """Ask the guest's balloon to leave it so much memory; raises Refused if it has none.

    That it was asked is noted first: lists ask only such qemus how much memory there is.
    """
    await asyncio.to_thread((host.where.balloons / name).touch)
    await talk.execute("balloon", {"value": mebibytes << 20})


async def note(
    host: hypervisor.Hypervisor, running: process.Running, talk: monitor.Monitor
) -> None:
    """Note it if a guest that has arrived from elsewhere has less memory than its maximum."""
    try:
        told = await talk.execute("query-balloon")
    except monitor.Refused:  # it has no balloon
        return
    if int(told["actual"]) >> 20 != running.memory:
        await asyncio.to_thread((host.where.balloons / running.name).touch)


async def balloon(host: hypervisor.Hypervisor, name: str, mebibytes: int) -> None:
    """Change a running instance's memory; nothing if it does not run. Raises Failure."""
    if mebibytes <= 0:
        raise errors.BadInput(f"{name} cannot have {mebibytes} MiB of memory")
    if await asyncio.to_thread(process.find, host.where, name) is None:
        _LOG.info("an instance that does not run has no balloon", name=name)
        return
    async with monitor.open(host.where.socket(name, ".qmp")) as talk:
        await ask(host, name, talk, mebibytes)
