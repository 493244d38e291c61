"""OP_INSTANCE_STARTUP: have an instance run.

It is marked as wanted to run first: whatever goes wrong after that, it is known what was wanted.

With ``only_if_down`` it is the watcher's second look, under the lock: between its first one and
this somebody may have started the instance, or have wished it down. Then nothing is done, no hooks
are run, and the job ends well.
"""

from dataclasses import dataclass

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import (
    checks,
    fallen,
    hookenv,
    locking,
    marking,
    parameters,
    starting,
)
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes
from pyganeti.wire import reasontrail


@dataclass(frozen=True, slots=True)
class Plan:
    """What is started."""

    instance: Instance
    node_is_offline: bool
    was_user_down: bool
    """Its user has shut it down from inside: what is left of it has to go first."""

    needless: str | None = None
    """Why there is nothing to do."""


class Startup(operation.Operation[opcodes.InstanceStartup, Plan]):
    """Starts an instance; one that runs goes on running."""

    opcode = opcodes.InstanceStartup

    def locks(self, op: opcodes.InstanceStartup, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone."""
        return locking.alone(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceStartup) -> Plan:
        """Check the instance, its parameters, its node, bridges and memory."""
        snapshot = context.snapshot
        instance = locking.find(snapshot, op)
        node = snapshot.nodes[instance.primary_node]
        if op.only_if_down and (needless := await fallen.why_not(context, instance)):
            return Plan(instance, node_is_offline=False, was_user_down=False, needless=needless)
        checks.state(instance, checks.ONLINE)
        beparams = parameters.backend(op.beparams)
        if node.offline and op.ignore_offline_nodes:
            context.warn("Ignoring offline primary node")
            if op.hvparams or op.beparams:
                context.warn("Overridden parameters are ignored")
            return Plan(instance, node_is_offline=True, was_user_down=False)
        checks.online(node)
        if op.hvparams:
            filled = {**filling.hypervisor_of(snapshot.cluster, instance), **op.hvparams}
            await parameters.check_on_nodes(context, instance.hypervisor, filled, [node])
        await checks.bridges(context, snapshot, instance, node)
        said = await checks.running(context, snapshot, instance, node)
        if said is None:
            backend = {**filling.backend(snapshot.cluster, instance.beparams), **beparams}
            await checks.memory(
                context,
                snapshot,
                node,
                instance.hypervisor,
                backend["minmem"],
                f"starting instance {instance.name}",
            )
        return Plan(
            instance,
            node_is_offline=False,
            was_user_down=checks.is_user_down(snapshot, instance, said),
        )

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceStartup, plan: Plan
    ) -> operation.Hooks | None:
        """Run on the master and the instance's nodes."""
        if plan.needless:
            return None
        instance = context.snapshot.instances[plan.instance.uuid]
        environment = {"FORCE": op.force, **hookenv.of(context.snapshot, instance)}
        return hookenv.around(context.snapshot, "instance-start", instance, environment)

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceStartup, plan: Plan
    ) -> str | None:
        """Mark it as wanted to run, and have it started; answer why not, if that was needless."""
        if plan.needless:
            context.info(f"Nothing to do: {plan.needless}")
            return plan.needless
        instance = plan.instance
        if not op.no_remember:
            instance = await marking.up(context, instance.uuid)
        if plan.node_is_offline:
            context.info("Primary node offline, marked instance as started")
            return None
        if plan.was_user_down:
            await starting.stop(context, instance, op.shutdown_timeout)
        await starting.start(
            context,
            instance,
            hvparams=op.hvparams,
            beparams=parameters.backend(op.beparams),
            paused=op.startup_paused,
            ignore_secondaries=op.force,
        )
        if not reasontrail.is_watchers(context.run.reason):
            await marking.forgiven(context, instance.uuid)
        return None


OPERATION = Startup()
