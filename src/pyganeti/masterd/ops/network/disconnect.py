"""OP_NETWORK_DISCONNECT: a node group reaches a network no more."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.network import connecting
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import network as opcodes


class Disconnect(operation.Operation[opcodes.NetworkDisconnect, connecting.Plan]):
    """Disconnects a network from a group; one that is not connected stays so."""

    opcode = opcodes.NetworkDisconnect

    def locks(self, op: opcodes.NetworkDisconnect, snapshot: Snapshot) -> levels.Wanted:
        """See `connecting.locks`."""
        return connecting.locks(snapshot, op)

    async def prepare(
        self, context: contexts.Context, op: opcodes.NetworkDisconnect
    ) -> connecting.Plan:
        """Check that no card there is in it."""
        snapshot = context.snapshot
        network, group = snapshot.network(op.network_name), snapshot.group(op.group_name)
        plan = connecting.Plan(network, group, None)
        if network.uuid not in group.networks:
            context.warn(f"Network '{network.name}' is not mapped to group '{group.name}'")
            return plan
        connecting.check_cards(
            snapshot, plan, "disconnect from", lambda nic: nic.network == network.uuid
        )
        return plan

    def hooks(
        self, context: contexts.Context, op: opcodes.NetworkDisconnect, plan: connecting.Plan
    ) -> operation.Hooks:
        """Run on the group's nodes."""
        del op
        params = plan.group.networks.get(plan.network.uuid, {})
        return connecting.hooks(context.snapshot, "network-disconnect", plan, params)

    async def execute(
        self, context: contexts.Context, op: opcodes.NetworkDisconnect, plan: connecting.Plan
    ) -> None:
        """Record it."""
        del op
        await connecting.carry_out(context, plan)


OPERATION = Disconnect()
