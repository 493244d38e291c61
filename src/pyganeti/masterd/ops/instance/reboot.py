"""OP_INSTANCE_REBOOT: soft (by the guest), hard (a new qemu) or full (disks anew, too)."""

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, hookenv, locking, marking, starting
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes
from pyganeti.wire import reasontrail

_GRACE = 900.0
"""Seconds that a node may take for a reboot beyond the time that the instance has."""


class Reboot(operation.Operation[opcodes.InstanceReboot, Instance]):
    """Reboots an instance; one that is down is started."""

    opcode = opcodes.InstanceReboot

    def locks(self, op: opcodes.InstanceReboot, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone."""
        return locking.alone(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceReboot) -> Instance:
        """Check the instance, its node and bridges."""
        snapshot = context.snapshot
        instance = locking.find(snapshot, op)
        node = snapshot.nodes[instance.primary_node]
        checks.state(instance, checks.ONLINE)
        checks.online(node)
        await checks.bridges(context, snapshot, instance, node)
        return instance

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceReboot, plan: Instance
    ) -> operation.Hooks:
        """Run on the master and the instance's nodes."""
        instance = context.snapshot.instances[plan.uuid]
        environment = {
            "IGNORE_SECONDARIES": op.ignore_secondaries,
            "REBOOT_TYPE": op.reboot_type,
            "SHUTDOWN_TIMEOUT": op.shutdown_timeout,
            **hookenv.of(context.snapshot, instance),
        }
        return hookenv.around(context.snapshot, "instance-reboot", instance, environment)

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceReboot, plan: Instance
    ) -> None:
        """Reboot it, and mark it as wanted to run."""
        snapshot = context.snapshot
        node = snapshot.nodes[plan.primary_node]
        runs = await checks.running(context, snapshot, plan, node) is not None
        if runs and op.reboot_type != "full":
            told = rpcargs.instance_for_node(snapshot, plan)
            try:
                await context.nodes.call(
                    node,
                    "instance_reboot",
                    told,
                    op.reboot_type,
                    op.shutdown_timeout,
                    context.run.reason,
                    timeout=op.shutdown_timeout + _GRACE,
                )
            except errors.Failure as error:
                raise errors.Failure(f"Could not reboot instance: {error}") from error
        else:
            if runs:
                await starting.stop(context, plan, op.shutdown_timeout)
            else:
                context.info(f"Instance {plan.name} was already stopped, starting now")
            await starting.start(context, plan, ignore_secondaries=op.ignore_secondaries)
        await marking.up(context, plan.uuid)
        if not reasontrail.is_watchers(context.run.reason):
            await marking.forgiven(context, plan.uuid)


OPERATION = Reboot()
