"""OP_NETWORK_SET_PARAMS: a network's gateways, prefix, and which addresses are kept."""

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.network import pools
from pyganeti.model.config.network import Network
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import network as opcodes

_NONE = "none"


class SetParams(operation.Operation[opcodes.NetworkSetParams, Network]):
    """Changes a network; the plan is the network as it will be."""

    opcode = opcodes.NetworkSetParams

    def locks(self, op: opcodes.NetworkSetParams, snapshot: Snapshot) -> levels.Wanted:
        """Have the network alone."""
        return {levels.Level.NETWORK: levels.exclusive([snapshot.network(op.network_name).uuid])}

    async def prepare(self, context: contexts.Context, op: opcodes.NetworkSetParams) -> Network:
        """Check that it can be so."""
        if op.gateway and (op.add_reserved_ips or op.remove_reserved_ips):
            raise errors.BadInput("Cannot modify gateway and reserved ips at once")
        network = _changed(context.snapshot.network(op.network_name), op)
        pools.rehearse(context.snapshot, network, context.services.now())
        return network

    def hooks(
        self, context: contexts.Context, op: opcodes.NetworkSetParams, plan: Network
    ) -> operation.Hooks:
        """Run on the master."""
        del op
        return pools.hooks(context.snapshot, "network-modify", plan)

    async def execute(
        self, context: contexts.Context, op: opcodes.NetworkSetParams, plan: Network
    ) -> None:
        """Record it, with the addresses that instances have by now."""

        def edit(changed: draft.Draft) -> None:
            changed.put(_changed(changed.snapshot.networks[plan.uuid], op))

        await context.change(edit)


def _changed(network: Network, op: opcodes.NetworkSetParams) -> Network:
    """Return a network with what an opcode says of it; raises BadInput."""
    if op.gateway is not None:
        gateway = _value(op.gateway, network.gateway)
        if gateway != network.gateway:
            network = pools.give(network, network.gateway) if network.gateway else network
            network = pools.keep(network, gateway) if gateway else network
            network = msgspec.structs.replace(network, gateway=gateway)
    for address in op.add_reserved_ips or ():
        network = pools.keep(network, address)
    for address in op.remove_reserved_ips or ():
        if address == network.gateway:
            raise errors.BadInput("Cannot unreserve Gateway's IP")
        network = pools.give(network, address)
    prefix = _value(op.mac_prefix, network.mac_prefix)
    network = msgspec.structs.replace(
        network,
        mac_prefix=pools.mac_prefix(prefix) if prefix else None,
        network6=_value(op.network6, network.network6),
        gateway6=_value(op.gateway6, network.gateway6),
    )
    pools.check_version6(network)
    return network


def _value(said: str | None, before: str | None) -> str | None:
    if not said:
        return before
    return None if said.lower() == _NONE else said


OPERATION = SetParams()
