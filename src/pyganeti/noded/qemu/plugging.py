"""Devices that come to a running guest and go from it, as qemu is told over QMP.

Everything is opened here and handed over: a qemu that has given up its rights, or sits in an empty
directory, could open nothing itself. What fails half-way is taken back. A device goes when the
guest lets go of it, which a guest may take its time for, or never do: asking cannot be taken back,
so whoever gave up waiting looks with `devices` later on, and then takes away what was behind it.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterable
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import drives, monitor, nics, options, slots

_PERIPHERALS: Final = "/machine/peripheral"
_PATIENCE: Final = 10.0
"""Seconds that a guest has to let go of a device."""

_LOOK: Final = 0.5
_GONE: Final = "DEVICE_DELETED"
_REFUSED: Final = ("DEVICE_UNPLUG_GUEST_ERROR", "MEM_UNPLUG_ERROR")
_UNDER_WAY: Final = "in the process of unplug"


async def devices(talk: monitor.Monitor) -> frozenset[str]:
    """Return the names of the devices that have one."""
    told = await talk.execute("qom-list", {"path": _PERIPHERALS})
    return frozenset(str(one["name"]) for one in told if str(one["type"]).startswith("child<"))


async def nodes(talk: monitor.Monitor) -> frozenset[str]:
    """Return the names of the block nodes."""
    told = await talk.execute("query-named-block-nodes", {"flat": True})
    return frozenset(str(one["node-name"]) for one in told)


async def add_disk(
    talk: monitor.Monitor,
    drive: drives.Drive,
    hvinfo: slots.Hvinfo,
    hvparams: hypervisors.HvParams,
) -> None:
    """Give the guest a disk; raises Failure, with all undone."""
    node = options.as_object(drives.node(drive, hvinfo, hvparams))
    shown = options.as_object(drives.device(drive, hvinfo, hvparams, None))
    async with contextlib.AsyncExitStack() as after:
        below = node["file"]
        if below["driver"] in drives.FILES:
            direct = bool(below.get("cache", {}).get("direct"))
            opened = await asyncio.to_thread(_open, below["filename"], direct=direct)
            try:
                told = await talk.hand_over(opened, "add-fd")
            finally:
                os.close(opened)
            number = int(told["fdset-id"])
            # The node has copies of its own.
            after.push_async_callback(_quietly, talk, "remove-fd", {"fdset-id": number})
            below["filename"] = f"/dev/fdset/{number}"
        await talk.execute("blockdev-add", node)
        try:
            await talk.execute("device_add", shown)
        except BaseException:
            await drop_node(talk, str(node["node-name"]))
            raise


async def add_nic(
    talk: monitor.Monitor, nic: instances.Nic, tap: nics.Tap, asked: nics.Wanted
) -> None:
    """Give the guest a NIC at an open tap; raises Failure, with all undone."""
    host, queues, vhosts = nics.netdev(nic, asked)
    shown = options.as_object(nics.device(nic, asked, None))
    # What an attempt that was cut off handed over would keep its tap.
    await _close(talk, [*queues, *vhosts])
    await drop_netdev(talk, str(host["id"]))
    try:
        for name, descriptor in (
            *zip(queues, tap.queues, strict=True),
            *zip(vhosts, tap.vhosts, strict=True),
        ):
            await talk.hand_over(descriptor, "getfd", {"fdname": name})
        await talk.execute("netdev_add", host)
    except BaseException:
        await _close(talk, [*queues, *vhosts])
        raise
    try:
        await talk.execute("device_add", shown)
    except BaseException:
        await drop_netdev(talk, str(host["id"]))
        raise


async def remove(talk: monitor.Monitor, device: str, *, patience: float = _PATIENCE) -> None:
    """Take a device away from the guest; nothing if it is not there.

    Raises Failure if the guest does not let go of it in time, or says that it will not.
    """
    if device not in await devices(talk):
        return
    with talk.hearing(_GONE, *_REFUSED) as heard:
        try:
            await talk.execute("device_del", {"id": device})
        except monitor.Refused as error:
            if _UNDER_WAY not in str(error) and device in await devices(talk):
                raise
        try:
            async with asyncio.timeout(patience):
                await _until_gone(talk, heard, device)
        except TimeoutError as error:
            raise errors.Unavailable(
                f"the guest has not let go of {device} within {patience:g} s; it may do so yet"
            ) from error


async def drop_node(talk: monitor.Monitor, node: str) -> None:
    """Close what was behind a disk that has gone; nothing if it cannot be."""
    await _quietly(talk, "blockdev-del", {"node-name": node})


async def drop_netdev(talk: monitor.Monitor, netdev: str) -> None:
    """Close what was behind a NIC that has gone; nothing if it is not there."""
    await _quietly(talk, "netdev_del", {"id": netdev})


async def size_of(talk: monitor.Monitor, node: str) -> int:
    """Return how many bytes a disk has for the guest; raises BadInput if it is not there."""
    for one in await talk.execute("query-named-block-nodes", {"flat": True}):
        if one["node-name"] == node:
            return int(one["image"]["virtual-size"])
    raise errors.BadInput(f"the running guest has no disk {node}")


async def resize(talk: monitor.Monitor, node: str, size: int) -> None:
    """Tell qemu and the guest that a disk has grown to so many bytes.

    Raises BadInput for a disk that is not there, or for less than it has: the rest would be lost.
    """
    has = await size_of(talk, node)
    if size < has:
        raise errors.BadInput(f"{node} has {has} bytes and cannot shrink to {size}")
    await talk.execute("block_resize", {"node-name": node, "size": size})


async def _until_gone(talk: monitor.Monitor, heard: monitor.Hearing, device: str) -> None:
    while True:
        try:
            async with asyncio.timeout(_LOOK):
                event, told = await heard.next()
        except TimeoutError:
            # An event before we were connected is not repeated.
            if device not in await devices(talk):
                return
            continue
        if told.get("device") != device:
            continue
        if event == _GONE:
            return
        raise errors.Failure(f"the guest does not let go of {device}: {told.get('msg') or event}")


def _open(path: str, *, direct: bool) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_DIRECT if direct else 0)
    try:
        return os.open(path, flags)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be opened: {error.strerror}") from error


async def _close(talk: monitor.Monitor, names: Iterable[str]) -> None:
    for name in names:
        await _quietly(talk, "closefd", {"fdname": name})


async def _quietly(talk: monitor.Monitor, command: str, arguments: dict[str, Any]) -> None:
    """Undo what may not even have been done."""
    with contextlib.suppress(errors.Failure):
        await talk.execute(command, arguments)
