"""OP_NETWORK_ADD: a new network, connected to nothing yet."""

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.network import pools
from pyganeti.masterd.ops.tags import tagged
from pyganeti.model.config import addresses
from pyganeti.model.config.network import Network
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import network as opcodes


class Add(operation.Operation[opcodes.NetworkAdd, Network]):
    """Adds a network; the plan is the network."""

    opcode = opcodes.NetworkAdd

    def locks(self, op: opcodes.NetworkAdd, snapshot: Snapshot) -> levels.Wanted:
        """Keep the nodes' addresses as they are while they are looked at."""
        del snapshot
        return {levels.Level.NODE: levels.shared(levels.ALL)} if op.conflicts_check else {}

    async def prepare(self, context: contexts.Context, op: opcodes.NetworkAdd) -> Network:
        """Check the name and the addresses, and keep those that are somebody's."""
        snapshot = context.snapshot
        for other in snapshot.networks.values():
            if other.name == op.network_name:
                raise errors.BadInput(
                    f"Desired network name '{other.name}' already exists as a network"
                    f" (UUID: {other.uuid})",
                    "already_exists",
                )
        for tag in op.tags:
            tagged.check(tag)
        network = pools.begun(
            Network(
                name=op.network_name,
                network=op.network,
                gateway=op.gateway,
                network6=op.network6,
                gateway6=op.gateway6,
                mac_prefix=pools.mac_prefix(op.mac_prefix) if op.mac_prefix else None,
                uuid=context.services.new_uuid(),
                tags=tuple(sorted(set(op.tags))),
            )
        )
        pools.check_version6(network)
        if op.conflicts_check:
            for address, owner in pools.owned(snapshot).items():
                if addresses.holds(network, address) and not addresses.is_taken(network, address):
                    network = pools.keep(network, address)
                    context.info(f"Reserved IP address of {owner} ({address})")
        for address in op.add_reserved_ips or ():
            network = pools.keep(network, address)
        pools.rehearse(snapshot, network, context.services.now())
        return network

    def hooks(
        self, context: contexts.Context, op: opcodes.NetworkAdd, plan: Network
    ) -> operation.Hooks:
        """Run on the master."""
        del op
        return pools.hooks(context.snapshot, "network-add", plan)

    async def execute(
        self, context: contexts.Context, op: opcodes.NetworkAdd, plan: Network
    ) -> None:
        """Record it."""
        del op
        await context.change(lambda changed: changed.put(plan))


OPERATION = Add()
