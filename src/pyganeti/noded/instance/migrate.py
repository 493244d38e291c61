"""Moving a running guest to another node: both sides, step by step, as a master drives them.

The target starts a qemu by the source's runtime file, with its own paths, and has it listen; the
source's qemu is told to send; the master asks how it goes until it is over, and has both sides
finish. Each step finds out for itself how things are, so that a node daemon that was killed in
between goes on, or undoes, with the next one.

On the source an intent is written first: a qemu that stops because its guest left is no stop.
"""

import asyncio
import contextlib
import ipaddress
from typing import Any, Final

from pyganeti.base import errors, log
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.model import intent
from pyganeti.noded.instance import announcing, ending, hypervisor, leftovers, memory
from pyganeti.noded.instance import start as starting
from pyganeti.noded.qemu import monitor, process, runtimefile

_LOG = log.get(__name__)

_LONGEST: Final = 24 * 3600.0
"""Seconds that a migration may take before the stop of its source is a stop again."""

_POSTCOPY: Final = "postcopy-ram"
_POSTCOPY_ROUNDS: Final = 2
"""Passes over the memory before the guest is moved first and its memory after it, as in Ganeti."""

_OVER: Final = frozenset(("completed", "failed", "cancelled"))
_RUNS_HERE_PATIENCE: Final = 10.0
_LOOK: Final = 0.02


async def check(host: hypervisor.Hypervisor, instance: instances.Instance) -> None:
    """Raise Failure unless the instance runs here, so that it could be moved."""
    hypervisor.check(instance.hypervisor)
    await _running(host, instance.name)
    for index in range(len(instance.disks_info)):
        if not host.storage.links.path(instance.name, index).is_symlink():
            _LOG.warning("a disk has no link", name=instance.name, disk=index)


async def information(host: hypervisor.Hypervisor, instance: instances.Instance) -> str:
    """Return what the target has to know: the runtime file."""
    path = host.where.runtime(instance.name)
    try:
        return await asyncio.to_thread(path.read_text, encoding="utf-8")
    except OSError as error:
        raise errors.Unavailable(
            f"how {instance.name} was started is not known: {error.strerror}"
        ) from error


async def accept(
    host: hypervisor.Hypervisor, instance: instances.Instance, information: str, address: str
) -> None:
    """Have a qemu listen at one of this node's addresses for the guest to come."""
    hypervisor.check(instance.hypervisor)
    name = instance.name
    runtime = runtimefile.decode(information).moved(name, host.where)
    known = await host.known.of(runtime.command[0])
    await _clear(host, name)
    await starting.make_directories(host)
    await leftovers.clean(host, name)
    async with contextlib.AsyncExitStack() as undo:
        undo.callback(starting.detach, host, instance)
        attached = await starting.attach(host, instance)
        undo.push_async_callback(_give_up, host, name)
        await starting.bring_up(host, instance, runtime, known, attached, incoming="defer")
        async with _talk(host, name) as talk:
            await _switch(talk, instance.hvparams, on=True)
            uri = _uri(address, instance.hvparams)
            await talk.execute("migrate-incoming", {"uri": uri})
        undo.pop_all()
    _LOG.info("a guest is awaited", name=name, at=uri)


async def send(
    host: hypervisor.Hypervisor, instance: instances.Instance, address: str, *, live: bool
) -> None:
    """Begin to send the guest to a target that listens at an address; returns at once.

    Without ``live`` it stands still meanwhile.
    """
    hypervisor.check(instance.hypervisor)
    running = await _running(host, instance.name)
    hvparams = instance.hvparams
    await announcing.announce(host.where, running, intent.IntentKind.MIGRATE, _LONGEST, [])
    async with _talk(host, instance.name) as talk:
        if not live:
            await talk.execute("stop")
        limits = {
            "max-bandwidth": hvparams.migration_bandwidth << 20,
            "downtime-limit": hvparams.migration_downtime,
        }
        await talk.execute("migrate-set-parameters", limits)
        await _switch(talk, hvparams, on=True)
        await talk.execute("migrate", {"uri": _uri(address, hvparams)})
    _LOG.info("a guest is sent", name=instance.name, to=address, live=live)


async def progress(host: hypervisor.Hypervisor, instance: instances.Instance) -> dict[str, Any]:
    """Return Ganeti's status of a migration; one whose memory never settles goes on by postcopy."""
    async with _talk(host, instance.name) as talk:
        said = await talk.execute("query-migrate")
        status = str(said.get("status", "none"))
        if status == "none":
            return {"status": "failed"}
        # What is neither over nor cancelled is under way, whatever qemu calls the stage.
        told: dict[str, Any] = {"status": status if status in _OVER else "active"}
        if status == "cancelling":
            told["status"] = "cancelled"
        memory = said.get("ram")
        if memory:
            told["transferred_ram"] = memory["transferred"]
            told["total_ram"] = memory["total"]
        if status.startswith("postcopy"):
            told["postcopy_status"] = "postcopy-active"
        elif (
            status == "active"
            and _POSTCOPY in _capabilities(instance.hvparams)
            and memory
            and memory.get("dirty-sync-count", 0) >= _POSTCOPY_ROUNDS
        ):
            await talk.execute("migrate-start-postcopy")
            told["postcopy_status"] = "postcopy-active"
    return told


async def finish_source(
    host: hypervisor.Hypervisor, instance: instances.Instance, *, success: bool
) -> None:
    """End the qemu whose guest has left; or, if it has not, have it go on here."""
    name = instance.name
    running = await asyncio.to_thread(process.find, host.where, name)
    if success:
        if running is not None:
            await ending.kill(running)
        await leftovers.clean(host, name)
        starting.detach(host, instance)
        return
    if running is None:
        await leftovers.clean(host, name)
        return
    async with _talk(host, name) as talk:
        status = (await talk.execute("query-migrate")).get("status", "none")
        if status == "completed":
            raise errors.Failure(
                f"{name} has left this node: it must not run here as well as there"
            )
        if status not in {*_OVER, "none"}:
            await talk.execute("migrate_cancel")
            await _wait(talk, name)
        await talk.execute("cont")
        await _switch(talk, instance.hvparams, on=False)
    await asyncio.to_thread(announcing.withdraw, host.where, name)


async def finish_target(
    host: hypervisor.Hypervisor, instance: instances.Instance, *, success: bool
) -> None:
    """Attach what an arrived guest still lacks; or end the qemu that waits in vain."""
    name = instance.name
    if not success:
        await _give_up(host, name)
        starting.detach(host, instance)
        return
    running = await _running(host, name)
    await host.network.attach_routed(name)
    async with _talk(host, name) as talk:
        # The source says that it is over before the target has the last of it.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RUNS_HERE_PATIENCE
        while (status := await talk.status()) in {"inmigrate", "finish-migrate"}:
            if loop.time() > deadline:
                raise errors.Unavailable(f"{name} has not arrived: it is {status}")
            await asyncio.sleep(_LOOK)
        await _switch(talk, instance.hvparams, on=False)
        await memory.note(host, running, talk)
    _LOG.info("a guest has arrived", name=name, status=status)


def _talk(
    host: hypervisor.Hypervisor, name: str
) -> contextlib.AbstractAsyncContextManager[monitor.Monitor]:
    return monitor.open(host.where.socket(name, ".qmp"))


async def _running(host: hypervisor.Hypervisor, name: str) -> process.Running:
    running = await asyncio.to_thread(process.find, host.where, name)
    if running is None:
        raise errors.BadInput(f"Instance {name} is not running")
    return running


async def _clear(host: hypervisor.Hypervisor, name: str) -> None:
    """End a qemu that waits for the same guest since an attempt that was cut off."""
    running = await asyncio.to_thread(process.find, host.where, name)
    if running is None:
        return
    async with _talk(host, name) as talk:
        status = await talk.status()
    if status != "inmigrate":
        raise errors.Failure(f"{name} runs on this node already ({status})")
    await ending.kill(running)


async def _give_up(host: hypervisor.Hypervisor, name: str) -> None:
    running = await asyncio.to_thread(process.find, host.where, name)
    if running is not None:
        await ending.kill(running)
    await leftovers.clean(host, name)


async def _wait(talk: monitor.Monitor, name: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _RUNS_HERE_PATIENCE
    while (await talk.execute("query-migrate")).get("status") not in _OVER:
        if loop.time() > deadline:
            raise errors.Unavailable(f"the migration of {name} cannot be cancelled")
        await asyncio.sleep(_LOOK)


async def _switch(talk: monitor.Monitor, hvparams: hypervisors.HvParams, *, on: bool) -> None:
    wanted = _capabilities(hvparams)
    if wanted:
        states = [{"capability": name, "state": on} for name in wanted]
        await talk.execute("migrate-set-capabilities", {"capabilities": states})


def _capabilities(hvparams: hypervisors.HvParams) -> list[str]:
    return [name for name in hvparams.migration_caps.split(":") if name]


def _uri(address: str, hvparams: hypervisors.HvParams) -> str:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        version = 4
    host = f"[{address}]" if version == 6 else address  # noqa: PLR2004 - the protocol's number
    return f"tcp:{host}:{hvparams.migration_port}"
