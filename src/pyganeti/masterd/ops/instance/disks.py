"""An instance's disks on its nodes: assembled, shut down, removed.

What goes wrong is told as it happens; the caller hears whether all went well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import marking
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Assembled:
    """A disk on its instance's primary node: the node's name for it, and the URI for qemu.

    One that qemu reaches by itself may have no name on the node.
    """

    disk: Disk
    path: str | None
    link: str | None
    uri: str | None


async def assemble(
    context: contexts.Context,
    instance: Instance,
    *,
    only: Sequence[Disk] | None = None,
    ignore_secondaries: bool = False,
    ignore_size: bool = False,
) -> list[Assembled]:
    """Have an instance's disks ready on its nodes; return them as its primary node has them.

    With ``only`` just these. Raises Failure if one is not ready; then all are shut down again.
    """
    if only is None:
        instance = await marking.disks(context, instance.uuid, active=True)
    snapshot = context.snapshot
    disks = snapshot.disks_of(instance) if only is None else only
    primary = snapshot.nodes[instance.primary_node]
    told = rpcargs.instance_for_node(snapshot, instance)
    places = {uuid: index for index, uuid in enumerate(instance.disks)}
    good = True
    found: list[Assembled] = []
    for is_primary in (False, True):
        for disk in disks:
            index = places.get(disk.uuid or "", len(places))
            for node in [primary] if is_primary else _nodes_of(snapshot, disk, primary):
                try:
                    described = _described(snapshot, instance, disk, node, ignore_size=ignore_size)
                    answer = await context.nodes.call(
                        node, "blockdev_assemble", described, told, is_primary, index
                    )
                except errors.Failure as error:
                    context.warn(
                        f"Could not prepare block device {disk.iv_name} on node {node.name}"
                        f" (is_primary={is_primary}): {error}"
                    )
                    is_spared = node.uuid != primary.uuid and (ignore_secondaries or node.offline)
                    good = good and is_spared
                else:
                    if is_primary:
                        found.append(_assembled(disk, answer, node))
    if not good:
        await shut_down(context, instance, only=only)
        raise errors.Failure("Disk consistency error: not every disk could be made ready")
    return found


async def shut_down(
    context: contexts.Context,
    instance: Instance,
    *,
    only: Sequence[Disk] | None = None,
    ignore_primary: bool = False,
) -> bool:
    """Have an instance's disks let go on its nodes; return whether that worked.

    A secondary node that is marked offline is not missed, with ``ignore_primary`` no primary is.
    """
    good = True
    if only is None:
        instance = await marking.disks(context, instance.uuid, active=False)
    snapshot = context.snapshot
    primary = snapshot.nodes[instance.primary_node]
    disks = snapshot.disks_of(instance) if only is None else only
    for disk in disks:
        for node in _nodes_of(snapshot, disk, primary):
            described = rpcargs.disk_for_node(snapshot, instance, disk, node)
            try:
                await context.nodes.call(node, "blockdev_shutdown", described)
            except errors.Failure as error:
                context.warn(
                    f"Could not shutdown block device {disk.iv_name} on node {node.name}: {error}"
                )
                if node.uuid == primary.uuid:
                    good = good and ignore_primary
                else:
                    good = good and node.offline
    return good


def _nodes_of(snapshot: Snapshot, disk: Disk, primary: Node) -> list[Node]:
    """Return the nodes that have to do with a disk: its own, else the instance's primary."""
    if not disk.is_mirrored:
        return [primary]
    return [snapshot.nodes[uuid] for uuid in disk.logical_id[:2] if uuid in snapshot.nodes]


def _described(
    snapshot: Snapshot, instance: Instance, disk: Disk, node: Node, *, ignore_size: bool
) -> dict[str, Any]:
    described = rpcargs.disk_for_node(snapshot, instance, disk, node)
    if ignore_size:
        described["size"] = 0
    return described


def _assembled(disk: Disk, answer: Any, node: Node) -> Assembled:  # noqa: ANN401 - JSON
    match answer:
        case [str() | None as path, str() | None as link, str() | None as uri] if path or uri:
            return Assembled(disk, path, link, uri)
    raise errors.Damaged(f"{node.name} answers blockdev_assemble with {answer!r}")
