"""OP_CLUSTER_REPAIR_DISK_SIZES: have recorded sizes of disks say what nodes say."""

from typing import Any

import msgspec

from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config import filling, names
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster

Change = tuple[str, int, str, int]
"""The instance, which of its disks, what was corrected, and to what."""


class RepairDiskSizes(operation.Operation[cluster.ClusterRepairDiskSizes, list[Instance]]):
    """The plan is the instances. Answers what was corrected."""

    opcode = cluster.ClusterRepairDiskSizes

    def locks(self, op: cluster.ClusterRepairDiskSizes, snapshot: Snapshot) -> levels.Wanted:
        """Have the instances alone, and share their primary nodes' resources."""
        if not op.instances:
            return {
                levels.Level.INSTANCE: levels.exclusive(levels.ALL),
                levels.Level.NODE_RES: levels.shared(levels.ALL),
            }
        found = [snapshot.instance(name) for name in op.instances]
        return {
            levels.Level.INSTANCE: levels.exclusive(one.name for one in found),
            levels.Level.NODE_RES: levels.shared(one.primary_node for one in found),
        }

    async def prepare(
        self, context: contexts.Context, op: cluster.ClusterRepairDiskSizes
    ) -> list[Instance]:
        """Find the instances."""
        snapshot = context.snapshot
        if op.instances:
            return [snapshot.instance(name) for name in dict.fromkeys(op.instances)]
        found = [one for one in snapshot.instances.values() if not one.forthcoming]
        return sorted(found, key=names.by_name)

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterRepairDiskSizes, plan: list[Instance]
    ) -> list[Change]:
        """Ask each node for the sizes of the disks there, and record what differs."""
        snapshot = context.snapshot
        by_node: dict[str, list[tuple[Instance, int, Disk]]] = {}
        for one in plan:
            for place, disk in enumerate(snapshot.disks_of(one)):
                by_node.setdefault(one.primary_node, []).append((one, place, disk))
        holders = [snapshot.nodes[uuid] for uuid in by_node if uuid in snapshot.nodes]

        def describe(node: Node) -> tuple[list[dict[str, Any]]]:
            return (
                [
                    rpcargs.disk_for_node(snapshot, one, disk, node)
                    for one, _, disk in by_node[node.uuid]
                ],
            )

        answers = await context.nodes.each(holders, "blockdev_getdimensions", describe)
        changed: list[Change] = []
        for node in holders:
            if (error := answers[node.uuid].error) is not None:
                context.warn(
                    f"Failure in blockdev_getdimensions call to node {node.name}, ignoring: {error}"
                )
                continue
            dimensions = answers[node.uuid].payload
            if not isinstance(dimensions, list) or len(dimensions) != len(by_node[node.uuid]):
                context.warn(f"Invalid result from node {node.name}, ignoring node results")
                continue
            filled = filling.node(snapshot.cluster, snapshot.group_of(node), node)
            for (one, place, disk), said in zip(by_node[node.uuid], dimensions, strict=True):
                changed += await _correct(
                    context, one, place, disk, said, with_spindles=filled["exclusive_storage"]
                )
        return changed


async def _correct(
    context: contexts.Context,
    one: Instance,
    place: int,
    disk: Disk,
    said: Any,  # noqa: ANN401 - JSON
    *,
    with_spindles: bool,
) -> list[Change]:
    """Record one disk's size, and what it is made of; return what was corrected."""
    try:
        size, spindles = msgspec.convert(said, tuple[int, int | None])
    except msgspec.ValidationError:
        context.warn(
            f"Disk {place} of instance {one.name} did not return size information, ignoring"
        )
        return []
    mebibytes = size >> 20
    after = disk
    changes: list[Change] = []
    if mebibytes != disk.size:
        context.info(
            f"Disk {place} of instance {one.name} has mismatched size, correcting: recorded"
            f" {disk.size}, actual {mebibytes}"
        )
        after = msgspec.structs.replace(after, size=mebibytes)
        changes.append((one.name, place, "size", mebibytes))
    if with_spindles and spindles is None:
        context.warn(
            f"Disk {place} of instance {one.name} did not return valid spindles information,"
            " ignoring"
        )
    elif with_spindles and spindles is not None and spindles != disk.spindles:
        context.info(
            f"Disk {place} of instance {one.name} has mismatched spindles, correcting: recorded"
            f" {disk.spindles}, actual {spindles}"
        )
        after = msgspec.structs.replace(after, spindles=spindles)
        changes.append((one.name, place, "spindles", spindles))
    if after.is_mirrored and after.children and after.children[0].size < after.size:
        context.info(f"Child disk has size {after.children[0].size}, parent {after.size}, fixing")
        first = msgspec.structs.replace(after.children[0], size=after.size)
        after = msgspec.structs.replace(after, children=(first, *after.children[1:]))
        changes.append((one.name, place, "size", after.size))
    if changes:

        def edit(changed: draft.Draft) -> None:
            changed.put(after)

        await context.change(edit)
    return changes


OPERATION = RepairDiskSizes()
