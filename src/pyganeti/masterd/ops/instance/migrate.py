"""OP_INSTANCE_MIGRATE: a running instance goes to another node, and hardly notices."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import failingover, migrating, moving
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes


class Migrate(operation.Operation[opcodes.InstanceMigrate, moving.Plan]):
    """Moves a running instance; where allowed, fails it over if it cannot be."""

    opcode = opcodes.InstanceMigrate

    def locks(self, op: opcodes.InstanceMigrate, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, and its nodes stay as they are."""
        return moving.locks(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceMigrate) -> moving.Plan:
        """Check the instance and both nodes."""
        return await moving.prepare(context, op)

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceMigrate, plan: moving.Plan
    ) -> operation.Hooks:
        """Run on the master and both nodes."""
        said = {
            "MIGRATE_LIVE": plan.live,
            "MIGRATE_CLEANUP": op.cleanup,
            "ALLOW_RUNTIME_CHANGES": op.allow_runtime_changes,
        }
        return moving.hooks(context.snapshot, "instance-migrate", plan, said, on_source_before=True)

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceMigrate, plan: moving.Plan
    ) -> None:
        """Move it, fail it over, or clean up."""
        name = plan.instance.name
        if plan.way is moving.Way.FAILOVER:
            context.say(f"Failover instance {name}")
            await failingover.carry_out(context, plan)
            return
        context.say(f"Migrating instance {name}")
        if plan.way is moving.Way.CLEANUP or plan.target is None:
            await migrating.clean_up(context, plan)
            return
        await migrating.Migration(context, plan, plan.target).carry_out(
            plan.memory,
            plan.free,
            may_shrink=op.allow_runtime_changes,
            any_version=op.ignore_hvversions,
        )


OPERATION = Migrate()
