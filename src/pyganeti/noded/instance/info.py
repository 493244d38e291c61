"""What runs on this node, as Ganeti's masters want to hear it: running, or shut down by its user.

An instance that has neither a qemu nor a marker is not there at all. One that was halted runs, by
Ganeti's book. A qemu that has stayed after its guest powered off, because kvmd has not recorded
that yet, counts as shut down.
"""

import asyncio
import enum
from typing import Any

from pyganeti.model import instance as instances
from pyganeti.noded.instance import hypervisor
from pyganeti.noded.qemu import glance, process

_STOPPED = "shutdown"


class State(enum.IntEnum):
    """The two that Ganeti's node RPC has."""

    RUNNING = 0
    SHUTDOWN = 1


async def one(host: hypervisor.Hypervisor, name: str) -> dict[str, Any]:
    """Return an instance's memory, vcpus, state and time; empty if it is not there."""
    instances.check_name(name)
    return (await _of(host, [name])).get(name, {})


async def every(host: hypervisor.Hypervisor) -> dict[str, dict[str, Any]]:
    """Return the same for all instances, by name. Raises OSError."""
    return await _of(host, await asyncio.to_thread(lambda: host.where.names))


async def running(host: hypervisor.Hypervisor) -> list[str]:
    """Return the names of the instances whose qemus run. Raises OSError."""
    return await asyncio.to_thread(process.names, host.where)


async def _of(host: hypervisor.Hypervisor, names: list[str]) -> dict[str, dict[str, Any]]:
    alive, marked = await asyncio.to_thread(_look, host, names)
    seen = await glance.at(host.where.control, alive)
    found = {name: _told(0, 0, State.SHUTDOWN) for name in marked}
    for name, qemu in alive.items():
        said = seen.get(name)
        memory = qemu.memory if said is None or said.memory is None else said.memory
        stopped = said is not None and said.status == _STOPPED
        found[name] = _told(memory, qemu.vcpus, State.SHUTDOWN if stopped else State.RUNNING)
    return found


def _look(
    host: hypervisor.Hypervisor, names: list[str]
) -> tuple[dict[str, process.Running], list[str]]:
    alive = {}
    marked = []
    for name in names:
        qemu = process.find(host.where, name)
        if qemu is not None:
            alive[name] = qemu
        elif host.where.marker(name).exists():
            marked.append(name)
    return alive, marked


def _told(memory: int, vcpus: int, state: State) -> dict[str, Any]:
    return {"memory": memory, "vcpus": vcpus, "state": int(state), "time": 0}
