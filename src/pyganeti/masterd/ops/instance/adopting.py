"""Disks that are there before their instance is: whether its node has them, and how large they are.

A node is asked; what it does not have, or what is in use, cannot be adopted. Raises BadInput.
"""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config.node import Node
from pyganeti.model.disk import Template

_MIB: Final = 1024 * 1024
_LOOP: Final = "loop"

Asked = Mapping[str, Any]


async def measured(
    context: contexts.Context, node: Node, template: Template, disks: Sequence[Asked]
) -> list[dict[str, Any]]:
    """Return disks that are asked for, with the sizes that the node says they have."""
    match template:
        case Template.PLAIN:
            return await _volumes(context, node, disks)
        case Template.BLOCK:
            return await _devices(context, node, disks)
    return await _files(context, node, template, disks)


async def _volumes(
    context: contexts.Context, node: Node, disks: Sequence[Asked]
) -> list[dict[str, Any]]:
    standard = context.snapshot.cluster.volume_group_name
    wanted = [f"{disk.get('vg') or standard}/{disk['adopt']}" for disk in disks]
    groups = await _ask(context, node, "vg_list")
    found = await _ask(context, node, "lv_list", sorted(groups))
    if missing := [name for name in wanted if name not in found]:
        raise errors.BadInput(f"Missing logical volume(s): {', '.join(missing)}")
    if used := [name for name in wanted if found[name][2]]:
        raise errors.BadInput(
            f"Online logical volumes found, cannot adopt: {', '.join(used)}", "wrong_state"
        )
    return [
        {**disk, "size": int(float(found[name][0]))}
        for disk, name in zip(disks, wanted, strict=True)
    ]


async def _devices(
    context: contexts.Context, node: Node, disks: Sequence[Asked]
) -> list[dict[str, Any]]:
    wanted = [posixpath.normpath(str(disk["adopt"])) for disk in disks]
    root = "/dev/disk/"
    if outside := [name for name in wanted if not name.startswith(root)]:
        raise errors.BadInput(
            f"Device node(s) {', '.join(outside)} lie outside {root} and cannot be adopted"
        )
    found = await _ask(context, node, "bdev_sizes", wanted)
    if missing := [name for name in wanted if name not in found]:
        raise errors.BadInput(f"Missing block device(s): {', '.join(missing)}")
    return [
        {**disk, "adopt": name, "size": int(float(found[name]))}
        for disk, name in zip(disks, wanted, strict=True)
    ]


async def _files(
    context: contexts.Context, node: Node, template: Template, disks: Sequence[Asked]
) -> list[dict[str, Any]]:
    """Take files' sizes in whole MiB: qemu reads zeros where the last one is not whole."""
    wanted = [str(disk["adopt"]) for disk in disks]
    if relative := [name for name in wanted if not posixpath.isabs(name)]:
        raise errors.BadInput(f"a file to adopt is named by its full path, not {relative[0]!r}")
    described: list[dict[str, Any]] = [
        {"dev_type": template.value, "logical_id": [_LOOP, name], "size": 0, "params": {}}
        for name in wanted
    ]
    found = await _ask(context, node, "blockdev_getdimensions", described)
    sized = []
    for disk, name, measured in zip(disks, wanted, found, strict=True):
        if not measured:
            raise errors.BadInput(
                f"{node.name} has no file {name} that can be adopted (it has to be in one of the"
                " node's directories for instances' files)"
            )
        sized.append({**disk, "size": max(1, -(-int(measured[0]) // _MIB))})
    return sized


async def _ask(context: contexts.Context, node: Node, call: str, *arguments: object) -> Any:  # noqa: ANN401 - JSON
    try:
        return await context.nodes.call(node, call, *arguments)
    except errors.Failure as error:
        raise errors.BadInput(
            f"Cannot get information about disks from node {node.name}: {error}",
            "environment_error",
        ) from error
