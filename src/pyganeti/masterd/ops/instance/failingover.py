"""A failover: stopped on its node, if that is there; the configuration; started on the other.

A crash before the configuration is changed leaves an instance that is down on its old node and
wanted to run; one after it, the same on the new node. Either is started by the next start.
"""

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import disks, marking, migrating, moving, starting
from pyganeti.wire import reasontrail

_GRACE = 300.0
"""Seconds that a node may take for a shutdown beyond the time that the instance has."""


async def carry_out(context: contexts.Context, plan: moving.Plan) -> None:
    """Fail an instance over; raises Failure if it does not stop, or does not start there."""
    instance, source, target = plan.instance, plan.source, plan.target
    if target is None:
        raise errors.BadInput("a failover needs a node to go to")
    if instance.forthcoming:
        context.say("Instance is forthcoming, just updating the configuration")
        await migrating.set_primary(context, instance.uuid, target.uuid)
        return
    if instance.disks_active:
        context.say("* checking disk consistency between source and target")
    else:
        context.say("* not checking disk consistency as instance is not running")
    if await _stop(context, plan):
        if instance.disks:
            await migrating.close_disks(context, instance, source, spared=plan.ignore_consistency)
        context.say("* deactivating the instance's disks on source node")
        if not await disks.shut_down(context, instance, ignore_primary=True):
            raise errors.Failure("Can't shut down the instance's disks")
    instance = await migrating.set_primary(context, instance.uuid, target.uuid)
    if instance.admin_state == "up":
        context.say(f"* activating the instance's disks on target node {target.name}")
        context.say(f"* starting the instance on the target node {target.name}")
        await starting.start(context, instance, ignore_secondaries=True)
        if not reasontrail.is_watchers(context.run.reason):
            await marking.forgiven(context, instance.uuid)


async def _stop(context: contexts.Context, plan: moving.Plan) -> bool:
    """Have the source stop it; return whether that is there to be told more.

    If it is dead, or need not be sure, that is said. Raises Failure otherwise.
    """
    instance, source = plan.instance, plan.source
    context.say("* shutting down instance on source node")
    told = rpcargs.instance_for_node(context.snapshot, instance, source)
    try:
        await context.nodes.call(
            source,
            "instance_shutdown",
            told,
            plan.shutdown_timeout,
            context.run.reason,
            timeout=plan.shutdown_timeout + _GRACE,
        )
    except errors.Failure as error:
        if not (plan.ignore_consistency or source.offline):
            raise errors.Failure(
                f"Could not shutdown instance {instance.name} on node {source.name}: {error}; if"
                " that node is dead, mark it so: gnt-node modify --offline=yes"
            ) from error
        context.warn(
            f"Could not shutdown instance {instance.name} on node {source.name}, proceeding anyway;"
            f" please make sure node {source.name} is down; error details: {error}"
        )
        return not isinstance(error, errors.Unavailable)
    return True
