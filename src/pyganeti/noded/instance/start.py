"""Starting an instance: everything is put in place, qemu comes up, and last of all its guest runs.

The order: what was left by an earlier run is removed; disks are linked; the runtime file is
written; kvmd runs; taps are attached; qemu starts without running its guest; passwords,
processors and memory are set; the guest runs. A failure at any step undoes all before it, and its
message has qemu's own words. A node daemon that is killed in between leaves a qemu whose guest
never ran: the next start ends that and begins anew.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from pyganeti.base import errors, log
from pyganeti.model import disk as disks
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.instance import (
    announcing,
    ending,
    hypervisor,
    leftovers,
    memory,
    reasons,
    runtimes,
)
from pyganeti.noded.net import nic as network_cards
from pyganeti.noded.qemu import (
    address,
    affinity,
    capabilities,
    commandline,
    drives,
    monitor,
    nics,
    places,
    process,
    runtimefile,
    security,
    tpm,
)

_LOG = log.get(__name__)
_NEVER_RAN: Final = "prelaunch"
_STRAY_PATIENCE: Final = 5.0
_STRAY_PAUSE: Final = 0.05


async def start(
    host: hypervisor.Hypervisor, instance: instances.Instance, *, paused: bool, trail: reasons.Trail
) -> None:
    """Start an instance whose disks are active; nothing if it runs. Raises Failure.

    ``paused``: leave the guest standing before its first instruction.
    """
    hypervisor.check(instance.hypervisor)
    running, was_cut_off = await asyncio.to_thread(_look, host.where, instance.name)
    if running is not None and await _keeps_running(host, running):
        _LOG.info("the instance runs already", name=instance.name)
        return
    known = await check(host, instance)
    if was_cut_off:
        await _end_strays(host, instance.name)
    async with contextlib.AsyncExitStack() as undo:
        undo.callback(detach, host, instance)
        attached = await attach(host, instance)
        runtime = commandline.prepare(instance, known, host.where, attached)
        await bring_up(host, instance, runtime, known, attached, paused=paused, trail=trail)
        undo.pop_all()


async def check(
    host: hypervisor.Hypervisor, instance: instances.Instance
) -> capabilities.Capabilities:
    """Return what the instance's qemu can do; raises Failure if its parameters make no sense."""
    found = hypervisors.problems(instance.hvparams)
    if found:
        raise errors.BadInput("; ".join(found))
    return await host.known.of(instance.hvparams.kvm_path)


async def attach(host: hypervisor.Hypervisor, instance: instances.Instance) -> list[drives.Drive]:
    """Return the instance's disks, linked and ready for qemu; raises Failure."""
    wanted = [disks.from_wire(disk) for disk in instance.disks_info]
    ready = await host.storage.prepare(instance.name, wanted, instance.hypervisor)
    return [
        drives.Drive(
            about,
            None if one.link is None else str(one.link),
            one.uri,
            is_device=one.device.major is not None,
            image_format=one.device.format,
        )
        for about, one in zip(instance.disks_info, ready, strict=True)
    ]


def detach(host: hypervisor.Hypervisor, instance: instances.Instance) -> None:
    """Remove the links to the instance's disks, also to those that it had meanwhile."""
    try:
        links = host.storage.links
        links.remove(instance.name, links.indexes(instance.name))
    except OSError as error:
        _LOG.error("links to disks cannot be removed", name=instance.name, error=str(error))


async def bring_up(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    runtime: runtimefile.Runtime,
    known: capabilities.Capabilities,
    attached: Sequence[drives.Drive],
    *,
    paused: bool = False,
    incoming: str = "",
    trail: reasons.Trail | None = None,
) -> process.Running:
    """Start a qemu by a runtime, where none runs; raises Failure, with all undone."""
    name = instance.name
    listening = address.of(instance.hvparams)
    hold = host.watches_ends(instance.hvparams)
    if hold:
        await host.ensure_kvmd()
    cards = [
        network_cards.from_wire(name, instance.tags, index, msgspec.to_builtins(nic))
        for index, nic in enumerate(runtime.nics)
    ]
    if cards:
        await host.network.check(cards)
    asked = nics.wanted(runtime.hvparams, known) if cards else nics.Wanted()
    coming = contextlib.ExitStack()
    coming.enter_context(host.rush.coming_up())
    try:
        placed = await _place(host, instance, runtime, known)
        async with host.network.plug(
            cards,
            queues=asked.queues,
            vnet_hdr=asked.vnet_hdr,
            vhost=asked.vhost,
            incoming=bool(incoming),
        ) as taps:
            await tpm.start(name, runtime, known, host.where)
            begin = commandline.Start(
                drives=attached,
                taps=[
                    nics.Tap(t.name, tuple(t.descriptors), tuple(t.vhost_descriptors)) for t in taps
                ],
                address=listening,
                run_as=placed.run_as,
                hold=hold,
                incoming=incoming,
            )
            line = commandline.complete(runtime, instance, known, host.where, begin)
            handed = [fd for tap in begin.taps for fd in (*tap.queues, *tap.vhosts)]
            running = await process.start(host.where, name, line, handed, placed.logged)
            coming.close()
            stands = paused or bool(incoming)
            try:
                await asyncio.gather(
                    _set_going(host, instance, runtime, running, paused=stands),
                    _keep_reason(host, name, trail),
                )
            except BaseException:
                await ending.discard(host, running, "its start failed")
                raise
    except BaseException:
        coming.close()
        await leftovers.clean(host, name)
        raise
    _LOG.info("an instance was started", name=name, pid=running.pid, qemu=known.version)
    return running


async def _keep_reason(host: hypervisor.Hypervisor, name: str, trail: reasons.Trail | None) -> None:
    """Keep why an instance is started, if that is known. Beside all else: nothing waits for it."""
    if trail is not None:
        await asyncio.to_thread(reasons.store, host.where, name, trail, "start")


async def _set_going(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    runtime: runtimefile.Runtime,
    running: process.Running,
    *,
    paused: bool,
) -> None:
    now = instance.hvparams
    socket = host.where.socket(instance.name, ".qmp")
    passwords = {
        protocol: path
        for protocol, path in (
            ("vnc", now.vnc_password_file if now.vnc_bind_address else ""),
            ("spice", now.spice_password_file),
        )
        if path
    }
    has_balloon = instance.beparams.minmem < instance.beparams.maxmem
    if not (passwords or has_balloon) and affinity.is_any(runtime.hvparams.cpu_mask):
        if paused:
            await monitor.once(socket, "query-status")
        else:
            await monitor.once(socket, "cont", when=host.rush.calm)
        return
    async with monitor.open(socket) as talk:
        for protocol, path in passwords.items():
            word = await asyncio.to_thread(security.read_password, path)
            await talk.execute("set_password", {"protocol": protocol, "password": word})
        await affinity.bind(runtime.hvparams.cpu_mask, running.pid, running.vcpus, talk)
        if paused:
            return
        if has_balloon:
            wanted = await asyncio.to_thread(memory.at_start, instance.beparams)
            if wanted < instance.beparams.maxmem:
                await memory.ask(host, instance.name, talk, wanted)
        await host.rush.calm()
        await talk.execute("cont")


def _look(where: places.Places, name: str) -> tuple[process.Running | None, bool]:
    """Return what runs, and whether there may be more than that; make what may be gone. Blocks.

    Raises Unavailable.
    """
    running = process.find(where, name)
    _make_directories(where)
    return running, where.runtime(name).exists()  # a clean end would have removed it


async def _keeps_running(host: hypervisor.Hypervisor, running: process.Running) -> bool:
    """Tell whether there is nothing to start; end what stands in the way of a start."""
    name = running.name
    async with monitor.open(host.where.socket(name, ".qmp")) as talk:
        status = await talk.status()
    if ending.is_over(status, running):
        await ending.let_go(host, running)
        return False
    if status == _NEVER_RAN:
        _LOG.warning("a start that was cut off is begun anew", name=name, pid=running.pid)
        await ending.discard(host, running, "its start was cut off")
        return False
    if status == "inmigrate":
        raise errors.Unavailable(f"{name} is on its way to this node")
    return True


async def _end_strays(host: hypervisor.Hypervisor, name: str) -> None:
    """End a qemu of an earlier start that was cut off before its pid file was there.

    Only one whose guest never ran: if a guest may run, starting it once more would ruin its disks.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _STRAY_PATIENCE
    while found := await asyncio.to_thread(process.strays, host.where, name):
        status = ""
        with contextlib.suppress(errors.Unavailable):
            async with monitor.open(host.where.socket(name, ".qmp"), patience=1.0) as talk:
                status = await talk.status()
        if status == _NEVER_RAN:
            for one in found:
                _LOG.warning("a qemu of a start that was cut off is ended", name=name, pid=one.pid)
                await ending.discard(host, one, "its start was cut off")
        elif status or loop.time() > deadline:
            pids = ", ".join(str(one.pid) for one in found)
            raise errors.Failure(
                f"{name} may run as process {pids}, to which its pid file does not lead;"
                " it must be ended first"
            )
        else:
            await asyncio.sleep(_STRAY_PAUSE)


@dataclass(frozen=True, slots=True)
class _Placed:
    """What qemu's command line and its end have to know of what was put in place for it."""

    run_as: str
    logged: int


async def _place(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    runtime: runtimefile.Runtime,
    known: capabilities.Capabilities,
) -> _Placed:
    """Put in place the files that a qemu needs, and no others; raises Failure.

    All in one step: each of them alone is cheaper than the way to a thread and back.
    """
    where, name = host.where, instance.name

    def place() -> _Placed:
        leftovers.remove(where, name, keep_runtime=True)
        runtimes.store(where, name, runtime)
        announcing.withdraw(where, name)
        tpm.place_variables(name, runtime, known, where)
        return _Placed(security.prepare(instance, where), process.logged(where, name))

    def place_unless_taps() -> _Placed | None:
        return None if leftovers.had_taps(where, name) else place()

    async with host.pool if security.is_from_pool(instance) else contextlib.nullcontext():
        placed = await asyncio.to_thread(place_unless_taps)
        if placed is None:
            await host.network.release(name)
            placed = await asyncio.to_thread(place)
        return placed


async def make_directories(host: hypervisor.Hypervisor) -> None:
    """Make what may be gone after a reboot; raises Unavailable."""
    await asyncio.to_thread(_make_directories, host.where)


def _make_directories(where: places.Places) -> None:
    try:
        process.prepare(where)
    except OSError as error:
        raise errors.Unavailable(f"the directories of instances: {error}") from error
