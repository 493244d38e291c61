"""OP_GROUP_VERIFY_DISKS: find instances of a group whose disks are missing, or not assembled."""

from typing import Any, Final

import msgspec

from pyganeti.masterd import nodes as calling
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.verifying import images
from pyganeti.model.config import names
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template
from pyganeti.model.opcodes import group

_IN_FILES: Final = frozenset({Template.FILE, Template.SHARED_FILE})
_IN_VOLUMES: Final = frozenset({Template.PLAIN, Template.DRBD})

Result = tuple[dict[str, str], list[str], dict[str, list[list[str]]]]
"""Nodes that did not answer, with why; instances whose disks have to be assembled; and, by
instance, the nodes' uuids and names of what is missing there."""

_Owned = tuple[Instance, Disk]


class VerifyDisks(operation.Operation[group.GroupVerifyDisks, NodeGroup]):
    """Looks at instances whose disks are meant to be assembled. Changes nothing."""

    opcode = group.GroupVerifyDisks

    def locks(self, op: group.GroupVerifyDisks, snapshot: Snapshot) -> levels.Wanted:
        """Share the group's instances and all of their nodes and groups."""
        found = snapshot.group(op.group_name)
        own = _instances(snapshot, found)
        nodes = {node.uuid: node for one in own for node in snapshot.nodes_of(one)}
        nodes.update((node.uuid, node) for node in snapshot.nodes_in(found))
        return {
            levels.Level.INSTANCE: levels.shared(one.name for one in own),
            levels.Level.NODEGROUP: levels.shared(
                {found.uuid, *(node.group for node in nodes.values())}
            ),
            levels.Level.NODE: levels.shared(nodes),
        }

    async def prepare(self, context: contexts.Context, op: group.GroupVerifyDisks) -> NodeGroup:
        """Find the group."""
        return context.snapshot.group(op.group_name)

    async def execute(
        self, context: contexts.Context, op: group.GroupVerifyDisks, plan: NodeGroup
    ) -> Result:
        """Ask the nodes."""
        snapshot = context.snapshot
        active = [one for one in _instances(snapshot, plan) if one.disks_active]
        errors: dict[str, str] = {}
        to_assemble: set[str] = set()
        missing: dict[str, list[list[str]]] = {}
        await _look_at_volumes(context, active, errors, to_assemble, missing)
        await _look_at_others(context, active, errors, to_assemble, missing)
        return errors, sorted(to_assemble, key=names.sort_key), missing


async def _look_at_volumes(
    context: contexts.Context,
    active: list[Instance],
    errors: dict[str, str],
    to_assemble: set[str],
    missing: dict[str, list[list[str]]],
) -> None:
    """Find logical volumes that are not there, or not active."""
    snapshot = context.snapshot
    owners = {
        (uuid, volume): one
        for one in active
        for uuid, volumes in images.volumes_of(snapshot, [one.uuid]).items()
        for volume in volumes
    }
    holders = [
        snapshot.nodes[uuid]
        for uuid in dict.fromkeys(uuid for uuid, _ in owners)
        if uuid in snapshot.nodes and snapshot.nodes[uuid].vm_capable
    ]
    answers = await context.nodes.each(holders, "lv_list", ([],))
    for node in holders:
        there = _answered(answers[node.uuid], dict[str, tuple[Any, bool, bool]], node, errors)
        if there is None:
            continue
        for (uuid, volume), one in owners.items():
            if uuid != node.uuid:
                continue
            if volume not in there:
                missing.setdefault(one.name, []).append([uuid, volume])
            elif not there[volume][2]:
                to_assemble.add(one.name)


async def _look_at_others(
    context: contexts.Context,
    active: list[Instance],
    errors: dict[str, str],
    to_assemble: set[str],
    missing: dict[str, list[list[str]]],
) -> None:
    """Find files that are not there, and other disks that their nodes do not have at hand."""
    snapshot = context.snapshot
    wanted: dict[str, list[_Owned]] = {}
    for one in active:
        others = [disk for disk in snapshot.disks_of(one) if disk.dev_type not in _IN_VOLUMES]
        if others:
            wanted.setdefault(one.primary_node, []).extend((one, disk) for disk in others)
    holders = [snapshot.nodes[uuid] for uuid in wanted if uuid in snapshot.nodes]

    def describe(node: Node) -> tuple[list[dict[str, Any]]]:
        return (
            [rpcargs.disk_for_node(snapshot, one, disk, node) for one, disk in wanted[node.uuid]],
        )

    answers = await context.nodes.each(holders, "blockdev_getmirrorstatus_multi", describe)
    for node in holders:
        statuses = _answered(answers[node.uuid], list[tuple[bool, Any]], node, errors)
        if statuses is None:
            continue
        for (one, disk), (is_there, _) in zip(wanted[node.uuid], statuses, strict=False):
            if is_there:
                continue
            if disk.dev_type in _IN_FILES:
                path = str(disk.logical_id[1]) if len(disk.logical_id) > 1 else str(disk.uuid)
                missing.setdefault(one.name, []).append([node.uuid, path])
            else:
                to_assemble.add(one.name)


def _answered(
    answer: calling.Answer,
    shape: Any,  # noqa: ANN401 - a type
    node: Node,
    errors: dict[str, str],
) -> Any:  # noqa: ANN401 - of that type
    """Return what a node said; None, and why among the errors, if nothing that makes sense.

    Of an offline node nothing is said at all.
    """
    if answer.offline:
        return None
    if answer.failed:
        errors[node.uuid] = str(answer.error)
        return None
    try:
        return msgspec.convert(answer.payload, shape)
    except msgspec.ValidationError as error:
        errors[node.uuid] = f"the answer makes no sense: {error}"
        return None


def _instances(snapshot: Snapshot, of: NodeGroup) -> list[Instance]:
    found = {
        one.uuid: one
        for node in snapshot.nodes_in(of)
        for one in (*snapshot.instances_on(node), *snapshot.secondaries_on(node))
        if not one.forthcoming
    }
    return sorted(found.values(), key=names.by_name)


OPERATION = VerifyDisks()
