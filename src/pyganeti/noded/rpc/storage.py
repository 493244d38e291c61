"""The calls about where disks are made: directories, volume groups, providers."""

import asyncio
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.storage import providers


async def file_storage_dir_create(node: nodes.Node, path: str) -> None:
    """Make an instance's directory for disks that are files."""
    await node.storage.directories.create(path)


async def file_storage_dir_remove(node: nodes.Node, path: str) -> None:
    """Remove an instance's directory, which has to be empty."""
    await node.storage.directories.remove(path)


async def file_storage_dir_rename(node: nodes.Node, old: str, new: str) -> None:
    """Rename an instance's directory."""
    await node.storage.directories.rename(old, new)


async def storage_list(
    node: nodes.Node, kind: str, arguments: list[Any], name: str | None, fields: list[str]
) -> list[list[Any]]:
    """Return a row for each storage unit."""
    places = arguments[0] if arguments else []
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise errors.BadInput("storage_list: the storage's directories are not a list of paths")
    try:
        return await node.storage.units.rows(kind, places, name, fields)
    except OSError as error:
        raise errors.Unavailable(f"{error.filename}: {error.strerror}") from error


async def storage_modify(
    node: nodes.Node,
    kind: str,
    arguments: list[Any],
    name: str,
    changes: dict[str, Any],
) -> None:
    """Change a storage unit."""
    del arguments
    await node.storage.units.modify(kind, name, changes)


async def storage_execute(
    node: nodes.Node, kind: str, arguments: list[Any], name: str, operation: str
) -> None:
    """Repair a storage unit."""
    del arguments
    await node.storage.units.execute(kind, name, operation)


async def lv_list(node: nodes.Node, groups: list[str] | None) -> dict[str, tuple[str, bool, bool]]:
    """Return the logical volumes of some groups, or of all."""
    return await node.storage.units.volumes(groups or [])


async def vg_list(node: nodes.Node) -> dict[str, int]:
    """Return the volume groups and their sizes in MiB."""
    return await node.storage.units.groups()


async def node_volumes(node: nodes.Node) -> list[dict[str, str]]:
    """Return the logical volumes, once for each physical volume that they are on."""
    return await node.storage.units.segments()


async def extstorage_diagnose(
    node: nodes.Node,
) -> list[tuple[str, str, bool, str, list[list[str]]]]:
    """Return the storage providers, and what is wrong with each that cannot be used."""
    return await asyncio.to_thread(providers.diagnose, node.storage.providers)


CALLS: Final = (
    calls.Call("file_storage_dir_create", file_storage_dir_create, calls.by(0)),
    calls.Call("file_storage_dir_remove", file_storage_dir_remove, calls.by(0)),
    calls.Call("file_storage_dir_rename", file_storage_dir_rename, calls.by(0)),
    calls.Call("storage_list", storage_list),
    calls.Call("storage_modify", storage_modify),
    calls.Call("storage_execute", storage_execute),
    calls.Call("lv_list", lv_list),
    calls.Call("vg_list", vg_list),
    calls.Call("node_volumes", node_volumes),
    calls.Call("extstorage_diagnose", extstorage_diagnose),
)
