"""Devices that come to a running guest or leave it: what its node is asked, and what is said then.

A node that refuses stops nothing that can wait until the instance is started anew: that is told.
What is to go and the guest does not have is gone: somebody was cut short after that. All node
daemons say so by the same last words, and have no code for it.
"""

from typing import Any, Final, Literal, TypeAlias

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import disks
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance, Nic

Kind: TypeAlias = Literal["disk", "nic"]
Action: TypeAlias = Literal["hotadd", "hotmod", "hotremove"]

DONE: Final = "hotplug:done"
FAILED: Final = "hotplug:failed"


async def is_possible(context: contexts.Context, instance: Instance, *, is_demanded: bool) -> bool:
    """Tell whether a running instance's devices can be changed; if not, that is told.

    Raises BadInput if they cannot and that ``is_demanded``.
    """
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    told = rpcargs.instance_for_node(snapshot, instance)
    try:
        await context.nodes.call(node, "hotplug_supported", told)
    except errors.Failure as error:
        if is_demanded:
            raise errors.BadInput(f"Hotplug is not possible: {error}", "wrong_state") from error
        context.warn(str(error))
        context.info("Modification will take place without hotplugging.")
        return False
    return True


async def add_disk(
    context: contexts.Context, instance: Instance, ready: disks.Assembled, index: int
) -> str:
    """Give the guest a disk that its node has ready; return how that went, in a word."""
    device = rpcargs.disk_for_node(context.snapshot, instance, ready.disk)
    return await _ask(context, instance, "hotadd", "disk", device, index, [ready.link, ready.uri])


async def remove_disk(context: contexts.Context, instance: Instance, disk: Disk, index: int) -> str:
    """Take a disk away from the guest."""
    device = rpcargs.disk_for_node(context.snapshot, instance, disk)
    return await _ask(context, instance, "hotremove", "disk", device, index)


async def change_nic(
    context: contexts.Context, instance: Instance, action: Action, nic: Nic, index: int
) -> str:
    """Give the guest a network card, take one away, or exchange it for what it is to be."""
    device = rpcargs.nic_for_node(context.snapshot, nic)
    return await _ask(context, instance, action, "nic", device, index)


async def _ask(
    context: contexts.Context,
    instance: Instance,
    action: Action,
    kind: Kind,
    device: dict[str, Any],
    index: int,
    extra: list[str | None] | None = None,
) -> str:
    snapshot = context.snapshot
    instance = snapshot.instances[instance.uuid]
    node = snapshot.nodes[instance.primary_node]
    told = rpcargs.instance_for_node(snapshot, instance)
    context.info("Trying to hotplug device...")
    try:
        await context.nodes.call(node, "hotplug_device", told, action, kind, device, extra, index)
    except errors.Failure as error:
        if action == "hotremove" and f"with UUID {device['uuid']}" in str(error):
            context.info("The running guest does not have it any more.")
            return DONE
        context.warn(f"Could not hotplug device: {error}")
        return FAILED
    context.info("Hotplug done.")
    return DONE
