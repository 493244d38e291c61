"""Having a node start and stop an instance, disks included: steps of several opcodes."""

from typing import Any

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import disks, marking
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.record import Params


async def start(
    context: contexts.Context,
    instance: Instance,
    *,
    hvparams: Params | None = None,
    beparams: Params | None = None,
    paused: bool = False,
    ignore_secondaries: bool = False,
) -> None:
    """Make an instance's disks ready and have it started where it belongs.

    Raises Failure, with the node's words, if it did not start; then its disks are let go again.
    """
    await disks.assemble(context, instance, ignore_secondaries=ignore_secondaries)
    snapshot = context.snapshot
    instance = snapshot.instances[instance.uuid]
    told: dict[str, Any] = rpcargs.instance_for_node(
        snapshot, instance, hvparams=hvparams, beparams=beparams
    )
    node = snapshot.nodes[instance.primary_node]
    try:
        await context.nodes.call(node, "instance_start", told, paused, context.run.reason)
    except errors.Failure as error:
        await disks.shut_down(context, instance)
        raise errors.Failure(f"Could not start instance '{instance.name}': {error}") from error


async def first(context: contexts.Context, instance: Instance) -> None:
    """Have an instance started that was just made, its disks being ready still. Raises Failure."""
    context.say("* starting instance...")
    instance = await marking.up(context, instance.uuid)
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    told = rpcargs.instance_for_node(snapshot, instance)
    try:
        await context.nodes.call(
            node,
            "instance_start",
            told,
            False,  # noqa: FBT003 - the wire's order: not paused
            context.run.reason,
        )
    except errors.Failure as error:
        raise errors.Failure(f"Could not start instance: {error}") from error


async def stop(context: contexts.Context, instance: Instance, timeout: int) -> None:
    """Have an instance shut down, and then its disks let go.

    It may take ``timeout`` seconds to power down by itself. Raises Failure if it still runs.
    """
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    told = rpcargs.instance_for_node(snapshot, instance)
    try:
        await context.nodes.call(
            node, "instance_shutdown", told, timeout, context.run.reason, timeout=timeout + GRACE
        )
    except errors.Failure as error:
        raise errors.Failure(f"Could not shutdown instance '{instance.name}': {error}") from error
    await disks.shut_down(context, instance)


GRACE = 300.0
"""Seconds that a node may take for a shutdown beyond the time that the instance has."""
