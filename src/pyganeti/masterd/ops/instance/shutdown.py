"""OP_INSTANCE_SHUTDOWN: have an instance down, by the administrator's wish or its user's.

It is marked as wanted to be down first: nobody brings up what is about to go.

With ``only_if_down`` it does nothing but record that, of an instance that fell: one that runs again
goes on running, and one that is not wanted to run any more stays as it is. Then the job ends well.
"""

from dataclasses import dataclass

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, fallen, hookenv, locking, marking, starting
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes

_USER = "user"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is shut down."""

    instance: Instance
    node_is_offline: bool
    needless: str | None = None
    """Why there is nothing to do."""


class Shutdown(operation.Operation[opcodes.InstanceShutdown, Plan]):
    """Shuts an instance down; one that is down stays so."""

    opcode = opcodes.InstanceShutdown

    def locks(self, op: opcodes.InstanceShutdown, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone."""
        return locking.alone(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceShutdown) -> Plan:
        """Check the instance and its node, and that its user did it if that is what is said."""
        snapshot = context.snapshot
        instance = locking.find(snapshot, op)
        node = snapshot.nodes[instance.primary_node]
        if op.only_if_down and (needless := await fallen.why_not(context, instance)):
            return Plan(instance, node_is_offline=False, needless=needless)
        if op.no_remember and op.admin_state_source is not None:
            context.warn("'admin_state_source' has no effect together with 'no_remember'")
        if op.force:
            context.warn("Ignoring offline instance check")
        else:
            checks.state(instance, checks.ONLINE)
        if node.offline and op.ignore_offline_nodes:
            context.warn("Ignoring offline primary node")
            return Plan(instance, node_is_offline=True)
        checks.online(node)
        if op.admin_state_source == _USER and not op.only_if_down:
            said = await checks.running(context, snapshot, instance, node)
            if not checks.is_user_down(snapshot, instance, said):
                raise errors.BadInput(
                    f"Instance '{instance.name}' was not shutdown by the user", "wrong_state"
                )
        return Plan(instance, node_is_offline=False)

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceShutdown, plan: Plan
    ) -> operation.Hooks | None:
        """Run on the master and the instance's nodes."""
        if plan.needless:
            return None
        instance = context.snapshot.instances[plan.instance.uuid]
        environment = {**hookenv.of(context.snapshot, instance), "TIMEOUT": op.timeout}
        return hookenv.around(context.snapshot, "instance-stop", instance, environment)

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceShutdown, plan: Plan
    ) -> str | None:
        """Mark it as wanted to be down, and have that so; answer why not, if that was needless."""
        if plan.needless:
            context.info(f"Nothing to do: {plan.needless}")
            return plan.needless
        instance = plan.instance
        if not op.no_remember and instance.admin_state in checks.ONLINE:
            instance = await marking.down(context, instance.uuid, op.admin_state_source or "admin")
        if plan.node_is_offline:
            context.info("Primary node offline, marked instance as stopped")
            return None
        await starting.stop(context, instance, op.timeout)
        return None


OPERATION = Shutdown()
