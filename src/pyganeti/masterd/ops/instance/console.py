"""OP_INSTANCE_CONSOLE: answers how to reach the console of an instance that runs."""

from typing import Any

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, locking
from pyganeti.model import instancestatus
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes

_STATES = {
    "up": instancestatus.ERROR_DOWN,
    "down": instancestatus.ADMIN_DOWN,
    "offline": instancestatus.ADMIN_OFFLINE,
}


class Console(operation.Operation[opcodes.InstanceConsole, Instance]):
    """Asks the instance's node; attaching is the client's business."""

    opcode = opcodes.InstanceConsole

    def locks(self, op: opcodes.InstanceConsole, snapshot: Snapshot) -> levels.Wanted:
        """Keep the instance where it is."""
        return {levels.Level.INSTANCE: levels.shared([locking.find(snapshot, op).name])}

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceConsole) -> Instance:
        """Check the instance's node."""
        instance = locking.find(context.snapshot, op)
        checks.online(context.snapshot.nodes[instance.primary_node])
        return instance

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceConsole, plan: Instance
    ) -> dict[str, Any]:
        """Return Ganeti's description of the console. Raises Failure if it does not run."""
        snapshot = context.snapshot
        node = snapshot.nodes[plan.primary_node]
        hypervisor = plan.hypervisor
        params = {hypervisor: filling.hypervisor_of_os(snapshot.cluster, hypervisor, "")}
        running = await context.nodes.call(node, "instance_list", [hypervisor], params)
        if plan.name not in (running or ()):
            raise errors.Failure(
                f"Instance {plan.name} is not running (state {_STATES[plan.admin_state]})"
            )
        asked = {plan.name: rpcargs.console_request(snapshot, plan, node)}
        match await context.nodes.call(node, "instance_console_info", asked):
            case {plan.name: dict(found)}:
                return found
            case said:
                raise errors.Damaged(f"{node.name} says {said!r} of the console of {plan.name}")


OPERATION = Console()
