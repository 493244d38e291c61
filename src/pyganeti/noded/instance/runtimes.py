"""The runtime file of an instance: how it was started, kept true while it runs.

It has at least the devices that the guest has: one that is plugged in is written down before, one
that is taken out struck off afterwards. So whatever a node daemon was killed in the middle of,
`settle` finds out by asking qemu, and what the guest is moved or restarted with is what it has.

Nothing is synced: what takes the file along, a power failure, takes the guest along.
"""

import asyncio
import dataclasses

from pyganeti.base import errors, files, log
from pyganeti.noded.instance import hypervisor
from pyganeti.noded.qemu import monitor, places, plugging, runtimefile

_LOG = log.get(__name__)


async def load(host: hypervisor.Hypervisor, name: str) -> runtimefile.Runtime:
    """Return how a running instance was started; raises Failure if that is not known."""
    return runtimefile.decode(await read(host, name))


async def read(host: hypervisor.Hypervisor, name: str) -> str:
    """Return the file as it is; raises Unavailable."""
    path = host.where.runtime(name)
    try:
        return await asyncio.to_thread(path.read_text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Unavailable(f"how {name} was started is not known: {error}") from error


async def save(host: hypervisor.Hypervisor, name: str, runtime: runtimefile.Runtime) -> None:
    """Write the file; raises Unavailable."""
    await asyncio.to_thread(store, host.where, name, runtime)


def store(where: places.Places, name: str, runtime: runtimefile.Runtime) -> None:
    """Do the same where that may block."""
    content = runtimefile.encode(runtime)
    try:
        files.write_atomically(where.runtime(name), content, mode=0o600)
    except OSError as error:
        raise errors.Unavailable(
            f"{name}: how it is started cannot be written down: {error}"
        ) from error


async def settle(
    host: hypervisor.Hypervisor, name: str, runtime: runtimefile.Runtime, talk: monitor.Monitor
) -> runtimefile.Runtime:
    """Return a running guest's runtime with what it really has; clean up behind what it has not.

    There is a difference when a change was cut off, or when a guest let go of a device late.
    """
    there = await plugging.devices(talk)
    nics = tuple(nic for nic in runtime.nics if nic.hvinfo.get("id", "") in {*there, ""})
    disks = tuple(disk for disk in runtime.disks if disk.hvinfo.get("id", "") in {*there, ""})
    for node in await plugging.nodes(talk) - there:
        if node.startswith("disk-"):
            await plugging.drop_node(talk, node)
    if len(nics) == len(runtime.nics) and len(disks) == len(runtime.disks):
        return runtime
    for nic in runtime.nics:
        if nic not in nics:
            _LOG.warning("a NIC that the guest does not have is forgotten", name=name, nic=nic.uuid)
            await plugging.drop_netdev(talk, str(nic.hvinfo["id"]))
            await release_nic(host, name, nic.uuid)
    settled = dataclasses.replace(runtime, nics=nics, disks=disks)
    await save(host, name, settled)
    return settled


async def release_nic(host: hypervisor.Hypervisor, name: str, uuid: str) -> None:
    """Clean up behind the tap of a NIC that is gone."""
    for attached in await host.network.attached(name):
        if attached.nic is not None and attached.nic.uuid == uuid:
            await host.network.release(name, attached.index)
