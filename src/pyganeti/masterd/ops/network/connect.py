"""OP_NETWORK_CONNECT: a node group reaches a network, by a bridge or a route."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.network import connecting
from pyganeti.model.config import addresses
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import network as opcodes


class Connect(operation.Operation[opcodes.NetworkConnect, connecting.Plan]):
    """Connects a network to a group; one that is connected stays as it is."""

    opcode = opcodes.NetworkConnect

    def locks(self, op: opcodes.NetworkConnect, snapshot: Snapshot) -> levels.Wanted:
        """See `connecting.locks`."""
        return connecting.locks(snapshot, op)

    async def prepare(
        self, context: contexts.Context, op: opcodes.NetworkConnect
    ) -> connecting.Plan:
        """Check that no card there has an address of it without being in it."""
        snapshot = context.snapshot
        network, group = snapshot.network(op.network_name), snapshot.group(op.group_name)
        params = {"mode": op.network_mode, "link": op.network_link, "vlan": op.network_vlan}
        if network.uuid in group.networks:
            context.warn(f"Network '{network.name}' is already mapped to group '{group.name}'")
            return connecting.Plan(network, group, group.networks[network.uuid])
        plan = connecting.Plan(network, group, params)
        if op.conflicts_check:
            connecting.check_cards(
                snapshot,
                plan,
                "connect to",
                lambda nic: bool(nic.ip) and addresses.holds(network, nic.ip or ""),
            )
        return plan

    def hooks(
        self, context: contexts.Context, op: opcodes.NetworkConnect, plan: connecting.Plan
    ) -> operation.Hooks:
        """Run on the group's nodes."""
        del op
        return connecting.hooks(context.snapshot, "network-connect", plan, plan.params or {})

    async def execute(
        self, context: contexts.Context, op: opcodes.NetworkConnect, plan: connecting.Plan
    ) -> None:
        """Record it."""
        del op
        await connecting.carry_out(context, plan)


OPERATION = Connect()
