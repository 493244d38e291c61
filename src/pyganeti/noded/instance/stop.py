"""Stopping and restarting an instance, and all that goes with its end."""

import asyncio
import contextlib

from pyganeti.base import errors, log
from pyganeti.model import instance as instances
from pyganeti.noded.instance import ending, hypervisor, leftovers, reasons, removal, runtimes
from pyganeti.noded.instance import start as starting
from pyganeti.noded.qemu import commandline, monitor, process

_LOG = log.get(__name__)


async def stop(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    timeout: float,
    trail: reasons.Trail,
) -> None:
    """Stop an instance within ``timeout`` seconds, and clean up; one that does not run as well.

    Raises Failure if its qemu cannot be ended; then nothing that belongs to it is removed. Who is
    cancelled while the guest has its time leaves it with the button pressed; what comes after the
    guest's end is done whole.
    """
    hypervisor.check(instance.hypervisor)
    await _end(host, instance, timeout, trail)
    clearing = asyncio.ensure_future(_clear(host, instance, trail))
    try:
        await asyncio.shield(clearing)
    except asyncio.CancelledError:
        await clearing
        raise


async def _clear(
    host: hypervisor.Hypervisor, instance: instances.Instance, trail: reasons.Trail
) -> None:
    """Remove what a stopped instance has left, and keep why it was stopped."""
    await leftovers.clean(host, instance.name)
    starting.detach(host, instance)
    await asyncio.to_thread(removal.tidy, host.where)
    await asyncio.to_thread(reasons.store, host.where, instance.name, trail, "shutdown")


async def reboot_hard(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    timeout: float,
    trail: reasons.Trail,
) -> None:
    """Stop an instance and start it as it is configured now.

    Raises Failure; what can be known to be wrong is found out while it still runs.
    """
    await _check_runs(host, instance.name)
    await starting.check(host, instance)
    await stop(host, instance, timeout, trail)
    await starting.start(host, instance, paused=False, trail=trail)
    await asyncio.to_thread(reasons.store, host.where, instance.name, trail, "reboot")


async def reboot_soft(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    timeout: float,
    trail: reasons.Trail,
) -> None:
    """Stop an instance and start it as it was started before, with the devices it has by now.

    Raises Failure; what can be known to be wrong is found out while it still runs.
    """
    await _check_runs(host, instance.name)
    runtime = await runtimes.load(host, instance.name)
    known = await host.known.of(runtime.command[0])
    with contextlib.suppress(errors.Unavailable):  # one that hangs is rebooted all the same
        async with monitor.open(host.where.socket(instance.name, ".qmp")) as talk:
            runtime = await runtimes.settle(host, instance.name, runtime, talk)
    runtime, attached = commandline.matched(
        instance.name, runtime, await starting.attach(host, instance)
    )
    await _end(host, instance, timeout, trail)
    await leftovers.clean(host, instance.name, keep_runtime=True)
    async with contextlib.AsyncExitStack() as undo:
        undo.callback(starting.detach, host, instance)
        await starting.bring_up(host, instance, runtime, known, attached)
        undo.pop_all()
    await asyncio.to_thread(reasons.store, host.where, instance.name, trail, "reboot")


async def _end(
    host: hypervisor.Hypervisor,
    instance: instances.Instance,
    timeout: float,
    trail: reasons.Trail,
) -> None:
    running = await asyncio.to_thread(process.find, host.where, instance.name)
    if running is None:
        _LOG.info("the instance does not run", name=instance.name)
        return
    with process.held(running) as hold:
        if hold is not None:
            await ending.power_down(host, instance, hold, timeout, trail)
    _LOG.info("an instance was stopped", name=instance.name, pid=running.pid)


async def _check_runs(host: hypervisor.Hypervisor, name: str) -> None:
    if await asyncio.to_thread(process.find, host.where, name) is None:
        raise errors.BadInput(f"Cannot reboot instance '{name}' that is not running")
