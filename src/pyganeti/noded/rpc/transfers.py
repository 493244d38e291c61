"""The calls that move instances' data: ``import_start``, ``export_start``, ``impexp_*``, keys.

The export's node and the import's each get their call; the two processes that these start speak
with each other, and the master asks both how they are.
"""

import asyncio
import contextlib
import os
import socket
from typing import Any, Final, TypeAlias

from pyganeti.base import apart, errors
from pyganeti.model import disk as disks
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.exports import folders
from pyganeti.noded.oses import environment, preparing
from pyganeti.noded.transfers import jobs, keys

_End: TypeAlias = tuple[str, list[Any]]
"""What the data comes from or goes to (file, raw or script), and which one."""

_PORTS: Final = 65536
_PATIENCE: Final = 60.0


async def import_start(
    node: nodes.Node,
    opts: jobs.Options,
    instance: environment.Instance,
    component: str,
    dest: _End,
) -> str:
    """Start to listen for data; return the import's name."""
    return await _start(node, "import", opts, instance, component, dest)


async def export_start(
    node: nodes.Node,
    opts: jobs.Options,
    host: str,
    port: int | str,
    instance: environment.Instance,
    component: str,
    source: _End,
) -> str:
    """Start to send data; return the export's name."""
    peer = host, _port(port)
    return await _start(node, "export", opts, instance, component, source, peer)


async def impexp_status(node: nodes.Node, names: list[str]) -> list[dict[str, Any] | None]:
    """Answer how transfers stand, null for one that has said nothing yet."""
    return await node.transfers.status(names)


async def impexp_abort(node: nodes.Node, name: str) -> None:
    """Ask a transfer to end."""
    node.transfers.abort(name)


async def impexp_cleanup(node: nodes.Node, name: str) -> None:
    """End a transfer and forget it."""
    await node.transfers.cleanup(name)


async def x509_cert_create(node: nodes.Node, validity: int) -> list[str]:
    """Make a key for transfers; answer its name and the certificate."""
    return await apart.call(keys.make, str(node.transfers.keys), validity, timeout=_PATIENCE)


async def x509_cert_remove(node: nodes.Node, name: str) -> None:
    """Remove a key."""
    await asyncio.to_thread(keys.remove, node.transfers.keys, name)


async def _start(
    node: nodes.Node,
    mode: jobs.Mode,
    options: jobs.Options,
    instance: environment.Instance,
    component: str,
    end: _End,
    peer: tuple[str, int] = ("", 0),
) -> str:
    async with contextlib.AsyncExitStack() as lent:
        opened, expected = await _open(node, mode, instance, end, lent)
        return await node.transfers.start(
            mode,
            options,
            opened,
            about=f"{instance.os}-{instance.name}",
            component=component,
            peer=peer,
            expected=expected,
            descriptors=jobs.descriptors_of(opened),
        )


async def _open(
    node: nodes.Node,
    mode: jobs.Mode,
    instance: environment.Instance,
    end: _End,
    lent: contextlib.AsyncExitStack,
) -> tuple[jobs.End, int | None]:
    """Return what is read or written, and how many MiB that is, as far as it is known."""
    match end:
        case ("file", [str(path)]):
            fd = await asyncio.to_thread(
                folders.open_dump, node.paths, path, writable=mode == "import"
            )
            lent.callback(os.close, fd)
            size = os.fstat(fd).st_size
            return jobs.File(fd), round(size / jobs.MIB) if mode == "export" else None
        case ("raw", [dict(described)]):
            disk = disks.from_wire(described)
            return await _open_disk(node, mode, disk, instance.hypervisor, lent), disk.size
        case ("script", [dict(described), int(index)]):
            disk = disks.from_wire(described)
            return await _script(node, mode, disk, index, instance), None
    raise errors.BadInput(f"Invalid {mode} I/O mode {end[0]!r}, or not with these arguments")


async def _open_disk(
    node: nodes.Node,
    mode: jobs.Mode,
    disk: disks.Disk,
    hypervisor: str,
    lent: contextlib.AsyncExitStack,
) -> jobs.Disk:
    if mode == "import" and disk.dev_type is disks.Template.BLOCK:
        raise errors.BadInput(
            f"{disk.describe()} is the administrator's own: nothing is imported onto it"
        )
    await node.storage.ready(disk, hypervisor)
    reached = await lent.enter_async_context(node.storage.reach(disk, writable=mode == "import"))
    return jobs.Disk(
        name=reached.name,
        format=reached.format,
        size=disk.size,
        descriptors=reached.descriptors,
        is_direct=reached.is_direct,
    )


async def _script(
    node: nodes.Node,
    mode: jobs.Mode,
    disk: disks.Disk,
    index: int,
    instance: environment.Instance,
) -> jobs.Script:
    has, said = await preparing.prepare(node.paths, node.storage, instance, 0)
    if mode == "import":
        path, uri = said.get(f"DISK_{index}_PATH"), said.get(f"DISK_{index}_URI")
        if path is None and uri is None:
            raise errors.BadInput(f"{instance.name} has no disk {index} to import into")
        form = said.get(f"DISK_{index}_FORMAT")
    else:
        linked = await node.storage.ready(disk, instance.hypervisor)
        path, uri = linked.device.path, linked.uri
        form = linked.device.format if linked.device.format != "raw" else None
    kind = mode.upper()
    told = {
        f"{kind}_DEVICE": path,
        f"{kind}_DISK_PATH": path,
        f"{kind}_DISK_URI": uri,
        f"{kind}_DISK_FORMAT": form,
        f"{kind}_INDEX": str(index),
    }
    said |= {key: value for key, value in told.items() if value is not None}
    return jobs.Script(str(has.script(mode)), str(has.folder), said)


def _port(port: int | str) -> int:
    """Return a port's number; it may be the name of a service."""
    if isinstance(port, str):
        try:
            port = int(port) if port.isdecimal() else socket.getservbyname(port, "tcp")
        except OSError as error:
            raise errors.BadInput(f"{port!r} is not a service") from error
    if not 0 < port < _PORTS:
        raise errors.BadInput(f"{port} is not a port")
    return port


CALLS: Final = (
    calls.Call("import_start", import_start, calls.by(1)),
    calls.Call("export_start", export_start, calls.by(3)),
    calls.Call("impexp_status", impexp_status),
    calls.Call("impexp_abort", impexp_abort),
    calls.Call("impexp_cleanup", impexp_cleanup, lambda arguments: f"transfer {arguments[0]}"),
    calls.Call("x509_cert_create", x509_cert_create),
    calls.Call("x509_cert_remove", x509_cert_remove),
)
