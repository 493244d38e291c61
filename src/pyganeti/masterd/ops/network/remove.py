"""OP_NETWORK_REMOVE: a network goes that is connected to no node group."""

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.network import pools
from pyganeti.model.config.network import Network
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import network as opcodes


class Remove(operation.Operation[opcodes.NetworkRemove, Network]):
    """Removes a network; the plan is the network."""

    opcode = opcodes.NetworkRemove

    def locks(self, op: opcodes.NetworkRemove, snapshot: Snapshot) -> levels.Wanted:
        """Have the network alone, and the groups kept as they are."""
        return {
            levels.Level.NETWORK: levels.exclusive([snapshot.network(op.network_name).uuid]),
            levels.Level.NODEGROUP: levels.shared(levels.ALL),
        }

    async def prepare(self, context: contexts.Context, op: opcodes.NetworkRemove) -> Network:
        """Check that it is connected to nothing."""
        network = context.snapshot.network(op.network_name)
        _check(context.snapshot, network)
        return network

    def hooks(
        self, context: contexts.Context, op: opcodes.NetworkRemove, plan: Network
    ) -> operation.Hooks:
        """Run on the master."""
        del op
        return pools.hooks(context.snapshot, "network-remove", plan, {"NETWORK_NAME": plan.name})

    async def execute(
        self, context: contexts.Context, op: opcodes.NetworkRemove, plan: Network
    ) -> None:
        """Forget it."""
        del op

        def edit(changed: draft.Draft) -> None:
            network = changed.snapshot.networks[plan.uuid]
            _check(changed.snapshot, network)
            changed.remove(network)

        await context.change(edit)


def _check(snapshot: Snapshot, network: Network) -> None:
    groups = sorted(
        group.name for group in snapshot.groups.values() if network.uuid in group.networks
    )
    if groups:
        raise errors.BadInput(
            f"Network still connected to node groups: {', '.join(groups)}", "wrong_state"
        )
    users = sorted(
        instance.name
        for instance in snapshot.instances.values()
        if any(nic.network == network.uuid for nic in instance.nics)
    )
    if users:
        raise errors.BadInput(f"Network still used by instances: {', '.join(users)}", "wrong_state")


OPERATION = Remove()
