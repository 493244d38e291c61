"""What runs on this node, as Ganeti's masters want to hear it: running, or shut down by its user.

An instance that has neither a qemu nor a marker is not there at all. One that was halted runs, by
Ganeti's book. A qemu that has stayed after its guest powered off counts as shut down: kvmd lets it
go within milliseconds, so in a list only qemus that no kvmd watches are asked about that. One that
has stayed after its guest panicked is not there: that guest fell, and wants to be started.

Asking a qemu costs it a millisecond, so a list asks none whose answer is known: the memory is what
it was started with until somebody changes it through us, which is noted.
"""

import asyncio
import enum
from typing import Any, Final

from pyganeti.model import instance as instances
from pyganeti.noded.instance import ending, hypervisor
from pyganeti.noded.qemu import glance, process

_STOPPED: Final = "shutdown"
_HOLDS: Final = "shutdown=pause"


class State(enum.IntEnum):
    """The two that Ganeti's node RPC has."""

    RUNNING = 0
    SHUTDOWN = 1


async def one(host: hypervisor.Hypervisor, name: str) -> dict[str, Any]:
    """Return an instance's memory, vcpus, state and time; empty if it is not there."""
    instances.check_name(name)
    return (await _of(host, [name], ask_all=True)).get(name, {})


async def every(host: hypervisor.Hypervisor) -> dict[str, dict[str, Any]]:
    """Return the same for all instances, by name. Raises OSError."""
    return await _of(host, await asyncio.to_thread(lambda: host.where.names))


async def running(host: hypervisor.Hypervisor) -> list[str]:
    """Return the names of the instances whose qemus run. Raises OSError."""
    return await asyncio.to_thread(process.names, host.where)


async def _of(
    host: hypervisor.Hypervisor, names: list[str], *, ask_all: bool = False
) -> dict[str, dict[str, Any]]:
    alive, marked, doubtful = await asyncio.to_thread(_look, host, names)
    seen = await glance.at(host.where.control, alive if ask_all else doubtful)
    found = {name: _told(0, 0, State.SHUTDOWN) for name in marked - alive.keys()}
    for name, qemu in alive.items():
        said = seen.get(name)
        memory = qemu.memory if said is None or said.memory is None else said.memory
        stopped = said is not None and ending.is_over(said.status, qemu)
        if stopped and said is not None and said.status != _STOPPED:
            continue  # it has panicked, which is nobody's shutdown: it is not there any more
        found[name] = _told(memory, qemu.vcpus, State.SHUTDOWN if stopped else State.RUNNING)
    return found


def _look(
    host: hypervisor.Hypervisor, names: list[str]
) -> tuple[dict[str, process.Running], set[str], list[str]]:
    """Return the qemus that run, the instances with a marker, and the qemus that must be asked."""
    where = host.where
    found = ((name, process.find(where, name)) for name in names)
    alive = {name: qemu for name, qemu in found if qemu is not None}
    marked = {name for name in names if where.marker(name).exists()}
    try:
        changed = {path.name for path in where.balloons.iterdir()}
    except FileNotFoundError:
        changed = set()
    watched = host.kvmd_runs()
    doubtful = [
        name
        for name, qemu in alive.items()
        # A marker beside a qemu is either just made, or a stale one that must not be believed.
        if name in changed or name in marked or (_HOLDS in qemu.line and not watched)
    ]
    return alive, marked, doubtful


def _told(memory: int, vcpus: int, state: State) -> dict[str, Any]:
    return {"memory": memory, "vcpus": vcpus, "state": int(state), "time": 0}
