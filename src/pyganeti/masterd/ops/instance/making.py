"""Making an instance's disks on its node, and removing them; what is wanted stays the same."""

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Final

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import newdisks
from pyganeti.model.config import filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

_INFO: Final = "originstname+"
_SHARED: Final = frozenset({Template.SHARED_FILE, Template.GLUSTER, Template.RBD, Template.EXT})
_WIPED_AT_MOST: Final = 1024
_WIPED_AT_LEAST: Final = 10
"""MiB that a node overwrites in one call: a tenth of the disk, within these."""


class NotMade(errors.Failure):
    """Not all disks could be made; ``begun`` are those that were, or may have been."""

    def __init__(self, message: str, begun: Sequence[Disk] = ()) -> None:
        super().__init__(message)
        self.begun = begun


async def create(
    context: contexts.Context,
    instance: Instance,
    disks: Sequence[Disk],
    adopted: Collection[str] = (),
) -> None:
    """Make disks on the instance's primary node; ``adopted`` ones, by uuid, are taken as they are.

    Raises NotMade if one cannot be made; what was made stays for the caller to remove.
    """
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    exclusive = bool(
        filling.node(snapshot.cluster, snapshot.group_of(node), node).get("exclusive_storage")
    )
    begun: list[Disk] = []
    try:
        for folder in _folders(snapshot, disks):
            await context.nodes.call(node, "file_storage_dir_create", folder)
        for disk in disks:
            if disk.uuid in adopted:
                continue
            context.say(f"* creating disk {disk.iv_name} ({disk.size} MiB)")
            begun.append(disk)
            await context.nodes.call(
                node,
                "blockdev_create",
                rpcargs.disk_for_node(snapshot, instance, disk, node),
                disk.size,
                instance.name,
                True,  # noqa: FBT003 - the wire's order: on the primary node
                _INFO + instance.name,
                exclusive,
            )
    except errors.Failure as error:
        if begun and isinstance(error, errors.Refused):
            begun.pop()
        raise NotMade(f"Can't create the instance's disks: {error}", begun) from error


async def check(context: contexts.Context, instance: Instance, disks: Sequence[Disk]) -> None:
    """Check that an instance's disks are there, on its primary node. Raises Failure."""
    if not disks:
        return
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    described = [rpcargs.disk_for_node(snapshot, instance, disk, node) for disk in disks]
    try:
        await context.nodes.call(node, "blockdev_getmirrorstatus", described)
    except errors.Failure as error:
        raise errors.Failure(f"The instance's disks are not as they should be: {error}") from error


async def wipe(
    context: contexts.Context, instance: Instance, disks: Sequence[Disk], *, since: int = 0
) -> None:
    """Overwrite disks with zeros, piece by piece, telling how far it is. Raises Failure.

    What lies before ``since`` MiB stays.
    """
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    for disk in disks:
        context.say(f"* Wiping disk {disk.iv_name}")
        piece = min(_WIPED_AT_MOST, max(_WIPED_AT_LEAST, disk.size // 10))
        told = rpcargs.disk_for_node(snapshot, instance, disk, node)
        for offset in range(since, disk.size, piece):
            size = min(piece, disk.size - offset)
            await context.nodes.call(node, "blockdev_wipe", told, offset, size)
            done = 100 * (offset + size) // disk.size
            context.info(f" - done: {done}%")


async def remove(
    context: contexts.Context,
    instance: Instance,
    disks: Sequence[Disk],
    *,
    ignore_failures: bool = False,
    unmade: Collection[Disk] = (),
) -> bool:
    """Remove disks, each where it is; return whether all are gone.

    One that is not there is gone; of those ``unmade`` their nodes have said so already. Those on a
    node that is marked offline cannot be removed: that is told, and counts as gone unless it is the
    primary one. A directory in which the instance has other disks stays.
    """
    snapshot = context.snapshot
    good = True
    for disk in disks:
        for node in _nodes_of(snapshot, instance, disk):
            told = rpcargs.disk_for_node(snapshot, instance, disk, snapshot.nodes[node])
            try:
                await context.nodes.call(snapshot.nodes[node], "blockdev_remove", told)
            except errors.Failure as error:
                name = snapshot.nodes[node].name
                context.warn(f"Could not remove disk {disk.iv_name} on node {name}: {error}")
                is_spared = snapshot.nodes[node].offline and node != instance.primary_node
                good = good and (is_spared or ignore_failures or disk in unmade)
    primary = snapshot.nodes[instance.primary_node]
    gone = {disk.uuid for disk in disks}
    left = [snapshot.disks[uuid] for uuid in instance.disks if uuid not in gone]
    kept = set(_folders(snapshot, left))
    for folder in _folders(snapshot, disks) if good else []:
        if folder in kept:
            continue
        try:
            await context.nodes.call(primary, "file_storage_dir_remove", folder)
        except errors.Failure as error:
            context.warn(f"Could not remove directory '{folder}': {error}")
    return good


def _folders(snapshot: Snapshot, disks: Sequence[Disk]) -> list[str]:
    """Return the directories of the disks that are files: instances' own, below the cluster's."""
    cluster = snapshot.cluster
    roots = {cluster.file_storage_dir, cluster.shared_file_storage_dir} - {""}
    found: dict[str, None] = {}
    for disk in disks:
        if disk.dev_type in newdisks.FILES:
            folder = PurePosixPath(disk.logical_id[1]).parent
            if any(root in map(str, folder.parents) for root in roots):
                found[str(folder)] = None
    return list(found)


def _nodes_of(snapshot: Snapshot, instance: Instance, disk: Disk) -> list[str]:
    if disk.is_mirrored:
        return [uuid for uuid in disk.logical_id[:2] if uuid in snapshot.nodes]
    return [instance.primary_node]


def is_shared(disk: Disk) -> bool:
    """Tell whether every node can reach a disk: its instance may run anywhere."""
    return disk.dev_type in _SHARED
