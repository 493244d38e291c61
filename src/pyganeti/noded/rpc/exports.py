"""The calls about exports on this node: ``finalize_export`` and ``export_*``."""

import asyncio
import time
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.exports import description, folders


async def finalize_export(
    node: nodes.Node, instance: description.Instance, snap_disks: list[dict[str, Any] | bool]
) -> None:
    """Write an export's configuration and put it in place; false stands for a disk left out."""
    dumped = [
        disks.from_wire(described) if isinstance(described, dict) else None
        for described in snap_disks
    ]
    names = {disk.uuid for disk in dumped if disk is not None and disk.uuid}
    if len(names) != sum(disk is not None for disk in dumped):
        raise errors.BadInput("finalize_export: a disk has no uuid, or another one's")
    text = description.write(instance, dumped, int(time.time()))
    await asyncio.to_thread(folders.finish, node.paths, instance.name, text, names)


async def export_info(node: nodes.Node, path: str) -> str:
    """Answer an export's configuration."""
    text = await asyncio.to_thread(folders.description, node.paths, path)
    return description.check(text)


async def export_list(node: nodes.Node) -> list[str]:
    """Answer the exports on this node."""
    return await asyncio.to_thread(folders.every, node.paths)


async def export_remove(node: nodes.Node, export: str) -> None:
    """Remove an export."""
    await asyncio.to_thread(folders.remove, node.paths, export)


CALLS: Final = (
    calls.Call("finalize_export", finalize_export, calls.by(0)),
    calls.Call("export_info", export_info),
    calls.Call("export_list", export_list),
    calls.Call("export_remove", export_remove, calls.by(0)),
)
