"""The calls about single disks: ``blockdev_*`` and ``bdev_sizes``.

A disk comes as Ganeti's dict and is checked before anything is done. Answers have the shapes that
masters of Ganeti 3.0 read: a disk's path, link and URI after assembling (``true`` twice where it is
not needed), its logical id after creating, its status without the fields that have no value.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pyganeti.base import errors, log
from pyganeti.model import disk as disks
from pyganeti.model import instance as instances
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.instance import hotplug
from pyganeti.noded.storage import devices, drbd, status

_LOG = log.get(__name__)
_MIB: Final = 1024 * 1024

DiskDict = dict[str, Any]


async def blockdev_create(
    node: nodes.Node,
    disk: DiskDict,
    size: Any,  # noqa: ANN401 - what it was good for is long gone; the disk has its size
    owner: str,
    on_primary: bool,  # noqa: FBT001 - the protocol's order
    info: str,
    excl_stor: bool,  # noqa: FBT001
) -> list[Any]:
    """Make a disk; return its logical id."""
    del size, owner
    return await node.storage.create(
        disks.from_wire(disk), primary=on_primary, info=info, exclusive=excl_stor
    )


async def blockdev_assemble(
    node: nodes.Node,
    disk: DiskDict,
    instance: dict[str, Any],
    on_primary: bool,  # noqa: FBT001
    index: int,
) -> list[Any]:
    """Make a disk ready for its instance; return path, link and URI."""
    name = instance.get("name")
    hypervisor = instance.get("hypervisor")
    if not isinstance(name, str) or not isinstance(hypervisor, str):
        raise errors.BadInput("blockdev_assemble: the instance has no name or no hypervisor")
    instances.check_name(name)
    linked = await node.storage.assemble(
        disks.from_wire(disk), name, index, hypervisor, primary=on_primary
    )
    if linked is None:
        return [True, True]
    link = None if linked.link is None else str(linked.link)
    return [linked.device.path, link, linked.uri]


async def blockdev_shutdown(node: nodes.Node, disk: DiskDict) -> None:
    """Make a disk inactive."""
    await node.storage.shutdown(disks.from_wire(disk))


async def blockdev_remove(node: nodes.Node, disk: DiskDict) -> None:
    """Remove a disk, which may be gone already."""
    await node.storage.remove(disks.from_wire(disk))


async def blockdev_open(
    node: nodes.Node,
    instance: str,
    described: list[DiskDict],
    exclusive: bool,  # noqa: FBT001
) -> None:
    """Open an instance's disks for this node alone, or for others too."""
    instances.check_name(instance)
    await node.storage.open(instance, _every(described), exclusive=exclusive)


async def blockdev_close(node: nodes.Node, instance: str, described: list[DiskDict]) -> None:
    """Close an instance's disks."""
    instances.check_name(instance)
    await node.storage.close(instance, _every(described))


async def blockdev_find(node: nodes.Node, disk: DiskDict) -> dict[str, Any] | None:
    """Return a disk's status, null if it is not there."""
    device = await node.storage.find(disks.from_wire(disk))
    return None if device is None else status.of(device)


async def blockdev_getmirrorstatus(
    node: nodes.Node, described: list[DiskDict]
) -> list[dict[str, Any]]:
    """Return the status of each disk; fails if one is not there."""
    return [await _status(node, disk) for disk in _every(described)]


async def blockdev_getmirrorstatus_multi(
    node: nodes.Node, described: list[DiskDict]
) -> list[tuple[bool, Any]]:
    """Return for each disk true and its status, or false and what is wrong."""
    found: list[tuple[bool, Any]] = []
    for disk in _every(described):
        try:
            found.append((True, await _status(node, disk)))
        except errors.Failure as error:
            found.append((False, str(error)))
    return found


async def blockdev_getdimensions(
    node: nodes.Node, described: list[DiskDict]
) -> list[tuple[int, int | None] | None]:
    """Return for each disk its bytes and spindles, null if it is not there."""
    found: list[tuple[int, int | None] | None] = []
    for disk in _every(described):
        try:
            found.append(await node.storage.dimensions(disk))
        except errors.Failure as error:
            _LOG.warning("a disk's size is not known", why=str(error))
            found.append(None)
    return found


async def blockdev_grow(
    node: nodes.Node,
    disk: DiskDict,
    amount: int,
    dryrun: bool,  # noqa: FBT001
    backingstore: bool,  # noqa: FBT001
    excl_stor: bool,  # noqa: FBT001
) -> None:
    """Make a disk larger by MiB. Only mirrors are more than their backing store."""
    known = disks.from_wire(disk)
    if await hotplug.grow_in_use(node.hypervisor, known, amount, dry_run=dryrun):
        return
    if backingstore or known.dev_type is disks.Template.DRBD:
        await node.storage.grow(known, amount, dry_run=dryrun, exclusive=excl_stor)


async def blockdev_snapshot(
    node: nodes.Node, disk: DiskDict, snap_name: str | None, snap_size: int | None
) -> list[Any]:
    """Take a snapshot; return its logical id."""
    return await node.storage.snapshot(disks.from_wire(disk), snap_name, snap_size)


async def blockdev_rename(node: nodes.Node, renames: list[tuple[DiskDict, list[Any]]]) -> None:
    """Give disks other logical ids; fails at the end if one could not be renamed."""
    wanted = [(disks.from_wire(disk), logical_id) for disk, logical_id in renames]
    refused = []
    for disk, logical_id in wanted:
        try:
            await node.storage.rename(disk, logical_id)
        except errors.Failure as error:
            refused.append(str(error))
    if refused:
        raise errors.Failure("; ".join(refused))


async def blockdev_setinfo(node: nodes.Node, disk: DiskDict, info: str) -> None:
    """Attach words for people to a disk."""
    await node.storage.set_info(disks.from_wire(disk), info)


async def blockdev_wipe(node: nodes.Node, disk: DiskDict, offset: int, size: int) -> None:
    """Write zeros onto a part of a disk, given in MiB."""
    await node.storage.wipe(disks.from_wire(disk), offset, size)


async def blockdev_image(node: nodes.Node, disk: DiskDict, image: str, size: int) -> None:
    """Put a raw image on a disk, from a path or a URL."""
    await node.storage.image(disks.from_wire(disk), image, size)


async def blockdev_convert(node: nodes.Node, source: DiskDict, target: DiskDict) -> None:
    """Copy a disk's content to another."""
    await node.storage.convert(disks.from_wire(source), disks.from_wire(target))


async def blockdev_pause_resume_sync(
    node: nodes.Node,
    described: list[DiskDict],
    pause: bool,  # noqa: FBT001
) -> list[tuple[bool, str | None]]:
    """Return for each disk whether its synchronisation was paused or resumed.

    Where nothing is synchronised there is nothing to do.
    """
    del pause
    found: list[tuple[bool, str | None]] = []
    for disk in _every(described):
        try:
            await _status(node, disk)
        except errors.Failure as error:
            found.append((False, str(error)))
        else:
            found.append((True, None))
    return found


async def blockdev_addchildren(
    node: nodes.Node, parent: DiskDict, children: list[DiskDict]
) -> None:
    """Refuse: only DRBD has parts that come and go."""
    del node
    raise _childless(parent, children)


async def blockdev_removechildren(
    node: nodes.Node, parent: DiskDict, children: list[DiskDict]
) -> None:
    """Refuse: only DRBD has parts that come and go."""
    del node
    raise _childless(parent, children)


async def bdev_sizes(node: nodes.Node, paths: list[str]) -> dict[str, int]:
    """Return the sizes in MiB of those paths below /dev that are block devices."""
    del node
    found = {}
    for path in paths:
        if path.startswith("/dev/") and ".." not in path.split("/"):
            try:
                found[path] = await asyncio.to_thread(_size, path)
            except (OSError, errors.Failure) as error:
                _LOG.info("a path is no block device", path=path, why=str(error))
    return found


def _size(path: str) -> int:
    if devices.numbers(path) is None:
        raise errors.Unavailable(f"{path} does not exist")
    return devices.size(path) // _MIB


async def _status(node: nodes.Node, disk: disks.Disk) -> dict[str, Any]:
    device = await node.storage.find(disk)
    if device is None:
        raise errors.Unavailable(f"{disk.describe()} is not there or not active")
    return status.of(device)


def _every(described: Sequence[DiskDict]) -> list[disks.Disk]:
    return [disks.from_wire(disk) for disk in described]


def _childless(parent: DiskDict, children: Sequence[DiskDict]) -> errors.Failure:
    disk = disks.from_wire(parent)
    _every(children)
    if disk.dev_type is disks.Template.DRBD:
        return drbd.not_yet(disk)
    return errors.BadInput(f"{disk.describe()} has no parts that come and go")


def _by_disk(arguments: Sequence[Any]) -> str | None:
    """Keep calls on one disk apart; by what never changes about it, and is no secret."""
    disk = arguments[0]
    if uuid := disk.get("uuid"):
        return f"disk {uuid}"
    logical_id = disk.get("logical_id")
    # The sixth part of a DRBD disk's is a secret.
    return f"disk {disk.get('dev_type')} {logical_id[:5] if isinstance(logical_id, list) else ''}"


def _by_first(arguments: Sequence[Any]) -> str | None:
    """Keep renames apart; a master sends those of one instance together."""
    renames = arguments[0]
    return _by_disk(renames[0]) if renames else None


CALLS: Final = (
    calls.Call("blockdev_create", blockdev_create, _by_disk),
    calls.Call("blockdev_assemble", blockdev_assemble, calls.by(1)),
    calls.Call("blockdev_shutdown", blockdev_shutdown, _by_disk),
    calls.Call("blockdev_remove", blockdev_remove, _by_disk),
    calls.Call("blockdev_open", blockdev_open, calls.by(0)),
    calls.Call("blockdev_close", blockdev_close, calls.by(0)),
    calls.Call("blockdev_find", blockdev_find),
    calls.Call("blockdev_getmirrorstatus", blockdev_getmirrorstatus),
    calls.Call("blockdev_getmirrorstatus_multi", blockdev_getmirrorstatus_multi),
    calls.Call("blockdev_getdimensions", blockdev_getdimensions),
    calls.Call("blockdev_grow", blockdev_grow, _by_disk),
    calls.Call("blockdev_snapshot", blockdev_snapshot, _by_disk),
    calls.Call("blockdev_rename", blockdev_rename, _by_first),
    calls.Call("blockdev_setinfo", blockdev_setinfo, _by_disk),
    calls.Call("blockdev_wipe", blockdev_wipe, _by_disk),
    calls.Call("blockdev_image", blockdev_image, _by_disk),
    calls.Call("blockdev_convert", blockdev_convert, _by_disk),
    calls.Call("blockdev_pause_resume_sync", blockdev_pause_resume_sync),
    calls.Call("blockdev_addchildren", blockdev_addchildren),
    calls.Call("blockdev_removechildren", blockdev_removechildren),
    calls.Call("bdev_sizes", bdev_sizes),
)
