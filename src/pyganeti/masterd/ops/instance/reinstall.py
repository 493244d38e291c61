"""OP_INSTANCE_REINSTALL: an instance's operating system anew, on the disks that it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import (
    checks,
    disks,
    hookenv,
    installing,
    locking,
    parameters,
)
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes

_DOWN: Final = frozenset({"down", "offline"})
_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The instance as it will be, and what is told to its OS alone."""

    instance: Instance
    secret: Mapping[str, Any]


class Reinstall(operation.Operation[opcodes.InstanceReinstall, Plan]):
    """Puts an OS on an instance's disks again, the same or another."""

    opcode = opcodes.InstanceReinstall

    def locks(self, op: opcodes.InstanceReinstall, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone."""
        return locking.alone(snapshot, op)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceReinstall) -> Plan:
        """Check that it is down and has disks, and that its node has the OS."""
        snapshot = context.snapshot
        cluster = snapshot.cluster
        instance = locking.find(snapshot, op)
        node = snapshot.nodes[instance.primary_node]
        checks.online(node)
        if not instance.disks:
            raise errors.BadInput(f"Instance '{instance.name}' has no disks")
        checks.state(instance, _DOWN)
        if await checks.running(context, snapshot, instance, node) is not None:
            raise errors.BadInput(
                f"Instance {instance.name} is running, cannot reinstall", "wrong_state"
            )
        changed = msgspec.structs.replace(
            instance,
            os=op.os_type or instance.os,
            osparams=_updated(instance.osparams, op.osparams),
            osparams_private=_updated(instance.osparams_private, op.osparams_private),
        )
        if not changed.os:
            raise errors.BadInput("it has no OS: say which one with -o")
        secret = op.osparams_secret or {}
        filled = filling.operating_system(
            cluster, changed.os, changed.osparams, changed.osparams_private, secret
        )
        await parameters.check_os(
            context, changed.os, filled, [node], force_variant=op.force_variant
        )
        return Plan(instance=changed, secret=secret)

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceReinstall, plan: Plan
    ) -> operation.Hooks:
        """Run on the master and the instance's nodes."""
        del op
        instance = context.snapshot.instances[plan.instance.uuid]
        environment = hookenv.of(context.snapshot, instance)
        return hookenv.around(context.snapshot, "instance-reinstall", instance, environment)

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceReinstall, plan: Plan
    ) -> None:
        """Remember the OS and its parameters, and have it installed."""
        if op.os_type is not None:
            context.say(f"Changing OS scripts to '{op.os_type}'...")
        instance = await context.change(lambda changed: changed.put(plan.instance))
        await disks.assemble(context, instance)
        try:
            await installing.install(
                context, instance, secret=plan.secret, reinstall=True, debug=op.debug_level or 0
            )
            await installing.tell_metadata(context, instance, secret=plan.secret)
        finally:
            await disks.shut_down(context, instance)


def _updated(present: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameters with others put over them, or taken away by ``default``."""
    merged = {**present, **(given or {})}
    return {key: value for key, value in merged.items() if value != _DEFAULT}


OPERATION = Reinstall()
