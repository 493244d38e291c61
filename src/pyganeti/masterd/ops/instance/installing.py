"""An operating system on an instance's disks, by the scripts of its definition on the node."""

from collections.abc import Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config import codec, filling
from pyganeti.model.config.instance import Instance

_TRUSTED: Final = 7
"""Where a diagnosis says whether an OS's scripts may run on the node itself."""


async def check(context: contexts.Context, instance: Instance) -> None:
    """Check that an instance's node has its OS. Raises Failure."""
    node = context.snapshot.nodes[instance.primary_node]
    wanted = instance.os.split("+", 1)[0]
    for one in await context.nodes.call(node, "os_diagnose"):
        if one[0] == wanted:
            if len(one) > _TRUSTED and not one[_TRUSTED]:
                raise errors.Failure(
                    f"OS '{wanted}' is one of those that are installed from within a machine of"
                    " their own, which this master daemon cannot do yet"
                )
            return
    raise errors.Failure(f"OS '{wanted}' is not available in node '{node.name}'")


async def install(
    context: contexts.Context,
    instance: Instance,
    *,
    secret: Mapping[str, Any],
    reinstall: bool = False,
    debug: int = 0,
) -> None:
    """Have an instance's OS put on its disks. Raises Failure."""
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    filled = filling.operating_system(
        snapshot.cluster, instance.os, instance.osparams, instance.osparams_private, secret
    )
    told = rpcargs.instance_for_node(snapshot, instance, osparams=filled)
    told["disks_active"] = True
    context.say("* running the instance OS create scripts...")
    try:
        await context.nodes.call(node, "instance_os_add", told, reinstall, debug)
    except errors.Failure as error:
        raise errors.Failure(
            f"Could not add os for instance {instance.name} on node {node.name}: {error}"
        ) from error


async def tell_metadata(
    context: contexts.Context, instance: Instance, *, secret: Mapping[str, Any]
) -> None:
    """Tell the node what its metadata daemon may answer the instance; a failure is only told."""
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    told = {
        **codec.to_wire(snapshot.instances[instance.uuid]),
        "disks_active": True,
        "osparams_private": dict(filling.private_of(snapshot.cluster, instance)),
        "osparams_secret": dict(secret),
    }
    try:
        await context.nodes.call(node, "instance_metadata_modify", told)
    except errors.Failure as error:
        context.warn(f"Could not update metadata for instance '{instance.name}': {error}")
