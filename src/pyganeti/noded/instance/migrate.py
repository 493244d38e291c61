"""Moving a running guest to another node: both sides, step by step, as a master drives them.

The target starts a qemu by the source's runtime file, with its own paths, and has it listen; the
source's qemu is told to send; the master asks how it goes until it is over, and has both sides
finish. Each step finds out for itself how things are, so that a node daemon that was killed in
between goes on, or undoes, with the next one.

On the source an intent is written first: a qemu that stops because its guest left is no stop.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
from typing import Any, Final

from pyganeti.base import errors, log
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.model import intent
from pyganeti.noded.instance import (
    announcing,
    ending,
    hypervisor,
    leftovers,
    memory,
    runtimes,
)
from pyganeti.noded.instance import start as starting
from pyganeti.noded.qemu import commandline, credentials, monitor, process, runtimefile

_LOG = log.get(__name__)

_LONGEST: Final = 24 * 3600.0
"""Seconds that a migration may take before the stop of its source is a stop again."""

_POSTCOPY: Final = "postcopy-ram"
_POSTCOPY_ROUNDS: Final = 2
"""Passes over the memory before the guest is moved first and its memory after it, as in Ganeti."""

_OVER: Final = frozenset(("completed", "failed", "cancelled"))
_BROKEN: Final = "postcopy-paused"
"""The nodes lost each other with the guest's memory on both; nothing goes on by itself."""

_CALLED_BACK: Final = "cancelling"
"""It is over for the guest, which will not leave any more, but not yet for qemu: as long as the
kernel tries to reach a node that does not answer, minutes perhaps."""

_ARRIVING: Final = frozenset(("inmigrate", "finish-migrate"))
_HALTED_BY_QEMU: Final = frozenset(("finish-migrate", "postmigrate"))
_STANDS: Final = "paused"
_STAY_PAUSED: Final = "-S"
"""In a runtime file: the guest does not run yet."""

_RUNS_HERE_PATIENCE: Final = 10.0
_CALL_BACK_PATIENCE: Final = 3.0
_LOOK: Final = 0.02


async def check(host: hypervisor.Hypervisor, instance: instances.Instance) -> None:
    """Raise Failure unless the instance runs here, so that it could be moved."""
    hypervisor.check(instance.hypervisor)
    await _running(host, instance.name)
    for index in range(len(instance.disks_info)):
        if not host.storage.links.path(instance.name, index).is_symlink():
            _LOG.warning("a disk has no link", name=instance.name, disk=index)


async def information(host: hypervisor.Hypervisor, instance: instances.Instance) -> str:
    """Return what the target has to know: the runtime file, true to what the guest has now.

    A guest that stands still now, and is to go on doing so, has Ganeti's word for it in there.
    """
    name = instance.name
    told = await runtimes.read(host, name)
    runtime = runtimefile.decode(told)
    async with _talk(host, name) as talk:
        settled = await runtimes.settle(host, name, runtime, talk)
        stands = await talk.status() == _STANDS
    command = [word for word in settled.command if word != _STAY_PAUSED]
    if stands:
        command.append(_STAY_PAUSED)
    settled = dataclasses.replace(settled, command=tuple(command))
    # Word for word where nothing has changed: it may be Ganeti's, with more in it than we know.
    return told if settled == runtime else runtimefile.encode(settled).decode()


async def accept(
    host: hypervisor.Hypervisor, instance: instances.Instance, information: str, address: str
) -> None:
    """Have a qemu listen at one of this node's addresses for the guest to come.

    It listens there alone, and takes one guest. With TLS, nobody but a node of this cluster gets
    through to it. Raises Failure, with all undone.
    """
    hypervisor.check(instance.hypervisor)
    name = instance.name
    uri = _uri(address, instance.hvparams)
    runtime = runtimefile.decode(information).moved(name, host.where)
    known = await host.known.of(runtime.command[0])
    await _clear(host, name)
    await starting.make_directories(host)
    async with contextlib.AsyncExitStack() as undo:
        undo.callback(starting.detach, host, instance)
        runtime, attached = commandline.matched(
            name, runtime, await starting.attach(host, instance)
        )
        undo.push_async_callback(_give_up, host, name)
        running = await starting.bring_up(
            host, instance, runtime, known, attached, incoming="defer"
        )
        async with _talk(host, name) as talk:
            await _switch(talk, instance.hvparams, on=True)
            if instance.hvparams.migration_tls:
                await credentials.give(talk, running, host.where, instance.uuid, server=True)
            await talk.execute("migrate-incoming", {"uri": uri})
        undo.pop_all()
    _LOG.info("a guest is awaited", name=name, at=uri, tls=instance.hvparams.migration_tls)


async def send(
    host: hypervisor.Hypervisor, instance: instances.Instance, address: str, *, live: bool
) -> None:
    """Begin to send the guest to a target that listens at an address; returns at once.

    Without ``live`` it stands still meanwhile. Raises Failure; then it goes on here.
    """
    hypervisor.check(instance.hypervisor)
    hvparams = instance.hvparams
    uri = _uri(address, hvparams)
    running = await _running(host, instance.name)
    async with _talk(host, instance.name) as talk:
        if (under_way := await _stage(talk)) not in {*_OVER, "none"}:
            raise errors.Unavailable(f"{instance.name} is being moved already ({under_way})")
        await announcing.announce(host.where, running, intent.IntentKind.MIGRATE, _LONGEST, [])
        ran = await talk.status() == "running"
        try:
            if not live and ran:
                await talk.execute("stop")
            limits = {
                "max-bandwidth": hvparams.migration_bandwidth << 20,
                "downtime-limit": hvparams.migration_downtime,
            }
            await talk.execute("migrate-set-parameters", limits)
            await _switch(talk, hvparams, on=True)
            if hvparams.migration_tls:
                await credentials.give(talk, running, host.where, instance.uuid, server=False)
            else:
                await credentials.take(talk)
            await talk.execute("migrate", {"uri": uri})
        except BaseException:
            await _stay(host, instance, talk, resume=not live and ran)
            raise
    _LOG.info(
        "a guest is sent", name=instance.name, to=address, live=live, tls=hvparams.migration_tls
    )


async def progress(host: hypervisor.Hypervisor, instance: instances.Instance) -> dict[str, Any]:
    """Return Ganeti's status of a migration; one whose memory never settles goes on by postcopy."""
    async with _talk(host, instance.name) as talk:
        said = await talk.execute("query-migrate")
        status = str(said.get("status", "none"))
        if status in {"none", _BROKEN}:
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
            with contextlib.suppress(monitor.Refused):  # it was over in the meantime
                await talk.execute("migrate-start-postcopy")
                told["postcopy_status"] = "postcopy-active"
    if status == "failed" and said.get("error-desc"):
        _LOG.error("a guest was not moved", name=instance.name, why=said["error-desc"])
    return told


async def finish_source(
    host: hypervisor.Hypervisor, instance: instances.Instance, *, success: bool, live: bool = True
) -> None:
    """End the qemu whose guest has left; or, if it has not, have it go on here.

    Raises Failure if that cannot be told from what qemu says: a guest never runs twice, and none
    is ended that has not left.
    """
    name = instance.name
    running = await asyncio.to_thread(process.find, host.where, name)
    if running is not None and not success:
        async with _talk(host, name) as talk:
            is_over = await _call_back(talk, name)
            await _stay(host, instance, talk, resume=not live, is_over=is_over)
        return
    if running is not None:
        with contextlib.suppress(errors.Unavailable):  # one that hangs has nothing to say
            async with _talk(host, name) as talk:
                stage, status = await _stage(talk), await talk.status()
                if stage != "completed":
                    raise errors.Failure(f"{name} has not left this node ({status}, {stage})")
        await ending.kill(running)
    await leftovers.clean(host, name)
    starting.detach(host, instance)


async def finish_target(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    *,
    success: bool,
    information: str = "",
) -> None:
    """Attach what an arrived guest still lacks; or end the qemu that waits in vain.

    A guest that has arrived is not ended, whatever the source's node said or did not say: there
    is no other any more.
    """
    name = instance.name
    if not success:
        await _check_not_arrived(host, name)
        await _give_up(host, name)
        starting.detach(host, instance)
        return
    running = await _running(host, name)
    await host.network.attach_routed(name)
    async with _talk(host, name) as talk:
        # The source says that it is over before the target has the last of it.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RUNS_HERE_PATIENCE
        while (status := await talk.status()) in _ARRIVING:
            if loop.time() > deadline:
                raise errors.Unavailable(f"{name} has not arrived: it is {status}")
            await asyncio.sleep(_LOOK)
        if status == _STANDS and not _stays_paused(information):
            # It was stopped to be moved.
            await talk.execute("cont")
            status = await talk.status()
        await _switch(talk, instance.hvparams, on=False)
        await credentials.take(talk)
        await memory.note(host, running, talk)
    _LOG.info("a guest has arrived", name=name, status=status)


async def _stay(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    talk: monitor.Monitor,
    *,
    resume: bool,
    is_over: bool = True,
) -> None:
    """Have a guest that does not leave go on as if nothing had been.

    What qemu was told for the way can only be taken back once it ``is_over``; the next one sets
    it anew.
    """
    if resume or await talk.status() in _HALTED_BY_QEMU:
        await talk.execute("cont")
    if is_over:
        await _switch(talk, instance.hvparams, on=False)
        await credentials.take(talk)
    await asyncio.to_thread(announcing.withdraw, host.where, instance.name)


async def _call_back(talk: monitor.Monitor, name: str) -> bool:
    """Cancel what is under way; return whether that is over for qemu, too.

    Raises Failure if the guest has left, or half of it has.
    """
    stage = await _stage(talk)
    if stage not in {*_OVER, "none"} and not stage.startswith("postcopy"):
        await talk.execute("migrate_cancel")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CALL_BACK_PATIENCE
        while (stage := await _stage(talk)) not in _OVER:
            if loop.time() > deadline:
                if stage == _CALLED_BACK:
                    return False
                raise errors.Unavailable(f"the migration of {name} cannot be cancelled: {stage}")
            await asyncio.sleep(_LOOK)
    if stage == "completed":
        raise errors.Failure(f"{name} has left this node: it must not run here as well as there")
    if stage.startswith("postcopy"):
        raise errors.Failure(
            f"{name} runs on the other node by now, with part of its memory here ({stage}):"
            " it cannot be called back"
        )
    return True


async def _check_not_arrived(host: hypervisor.Hypervisor, name: str) -> None:
    if await asyncio.to_thread(process.find, host.where, name) is None:
        return
    try:
        async with _talk(host, name) as talk:
            status, stage = await talk.status(), await _stage(talk)
    except errors.Unavailable:  # it hangs, or ended because its source did
        return
    if status == "running" or stage.startswith("postcopy"):
        raise errors.Failure(
            f"{name} has arrived here and is {status} ({stage}): it is not ended; shut the"
            " instance down to give it up"
        )


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
    await ending.discard(host, running, "a guest that was awaited before did not come")


async def _give_up(host: hypervisor.Hypervisor, name: str) -> None:
    running = await asyncio.to_thread(process.find, host.where, name)
    if running is not None:
        await ending.discard(host, running, "the guest that was awaited does not come")
    await leftovers.clean(host, name)


async def _stage(talk: monitor.Monitor) -> str:
    return str((await talk.execute("query-migrate")).get("status", "none"))


def _stays_paused(information: str) -> bool:
    try:
        return _STAY_PAUSED in runtimefile.decode(information).command
    except errors.Damaged:
        return False


async def _switch(talk: monitor.Monitor, hvparams: hypervisors.HvParams, *, on: bool) -> None:
    wanted = _capabilities(hvparams)
    if wanted:
        states = [{"capability": name, "state": on} for name in wanted]
        await talk.execute("migrate-set-capabilities", {"capabilities": states})


def _capabilities(hvparams: hypervisors.HvParams) -> list[str]:
    return [name for name in hvparams.migration_caps.split(":") if name]


def _uri(address: str, hvparams: hypervisors.HvParams) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError as error:
        raise errors.BadInput(f"{address!r} is no address that a guest could move to") from error
    if found.is_unspecified or found.is_multicast:
        raise errors.BadInput(f"{address} is no address of one node")
    host = f"[{address}]" if found.version == 6 else address  # noqa: PLR2004 - the protocol's number
    return f"tcp:{host}:{hvparams.migration_port}"
