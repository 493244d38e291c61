"""OP_INSTANCE_FAILOVER: an instance is stopped where it is, if it can be, and started elsewhere."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import failingover, migrating, moving
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes


class Failover(operation.Operation[opcodes.InstanceFailover, moving.Plan]):
    """Moves an instance, also away from a node that is dead."""

    opcode = opcodes.InstanceFailover

    def locks(self, op: opcodes.InstanceFailover, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, and its nodes stay as they are."""
        return moving.locks(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceFailover) -> moving.Plan:
        """Check the instance and its target."""
        return await moving.prepare(context, op)

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceFailover, plan: moving.Plan
    ) -> operation.Hooks:
        """Run on the master and the target; on the source afterwards only: it may be dead."""
        said = {
            "IGNORE_CONSISTENCY": op.ignore_consistency,
            "SHUTDOWN_TIMEOUT": op.shutdown_timeout,
            "FAILOVER_CLEANUP": op.cleanup,
        }
        return moving.hooks(
            context.snapshot, "instance-failover", plan, said, on_source_before=False
        )

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceFailover, plan: moving.Plan
    ) -> None:
        """Fail it over, or clean up."""
        context.say(f"Failover instance {plan.instance.name}")
        if plan.way is moving.Way.CLEANUP:
            await migrating.clean_up(context, plan)
        else:
            await failingover.carry_out(context, plan)


OPERATION = Failover()
