"""How much memory a guest has: less than its maximum when the node is short of it."""

import asyncio
from pathlib import Path
from typing import Final

from pyganeti.base import log
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


async def ask(talk: monitor.Monitor, mebibytes: int) -> None:
    """Ask the guest's balloon to leave it so much memory; raises Refused if it has none."""
    await talk.execute("balloon", {"value": mebibytes << 20})


async def balloon(host: hypervisor.Hypervisor, name: str, mebibytes: int) -> None:
    """Change a running instance's memory; nothing if it does not run. Raises Failure."""
    if await asyncio.to_thread(process.find, host.where, name) is None:
        _LOG.info("an instance that does not run has no balloon", name=name)
        return
    async with monitor.open(host.where.socket(name, ".qmp")) as talk:
        await ask(talk, mebibytes)
