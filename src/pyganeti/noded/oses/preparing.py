"""An instance's OS with all that its scripts are told, its disks ready."""

import asyncio

from pyganeti.base import paths
from pyganeti.model import disk as disks
from pyganeti.noded.oses import definition, environment
from pyganeti.noded.storage import storage


async def prepare(
    layout: paths.Paths, stored: storage.Storage, instance: environment.Instance, debug: int
) -> tuple[definition.Definition, dict[str, str]]:
    """Return an instance's OS and what its scripts are told; raises Failure."""
    has = await load(layout, definition.split(instance.os)[0])
    wanted = [disks.from_wire(described) for described in instance.disks_info]
    ready = await stored.prepare(instance.name, wanted, instance.hypervisor)
    told = [
        environment.Disk(
            template=linked.disk.dev_type.value,
            size=linked.disk.size,
            mode=linked.disk.mode,
            uuid=linked.disk.uuid,
            name=linked.disk.name,
            driver=str(linked.disk.logical_id[0]) if linked.disk.logical_id else "",
            path=linked.device.path,
            uri=linked.uri,
            format=linked.device.format,
        )
        for linked in ready
    ]
    return has, environment.of_instance(instance, has, told, debug=debug)


async def load(layout: paths.Paths, name: str) -> definition.Definition:
    """Return an OS's definition, by its own name; raises Failure."""
    return await asyncio.to_thread(definition.load, name, definition.places(layout))
