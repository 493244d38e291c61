"""Networks and the node groups that reach them: what connecting and disconnecting share."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.network import pools
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Nic
from pyganeti.model.config.network import Network
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import network as opcodes


@dataclass(frozen=True, slots=True)
class Plan:
    """Which network and group; ``params`` are with which it is reached, None if it is not then."""

    network: Network
    group: NodeGroup
    params: Params | None


def locks(
    snapshot: Snapshot, op: opcodes.NetworkConnect | opcodes.NetworkDisconnect
) -> levels.Wanted:
    """Have the group alone, its instances and the network kept as they are."""
    group = snapshot.group(op.group_name)
    names = [
        instance.name
        for node in snapshot.nodes_in(group)
        for instance in snapshot.instances_on(node)
    ]
    return {
        levels.Level.INSTANCE: levels.shared(names),
        levels.Level.NODEGROUP: levels.exclusive([group.uuid]),
        levels.Level.NETWORK: levels.shared([snapshot.network(op.network_name).uuid]),
    }


def check_cards(
    snapshot: Snapshot, plan: Plan, action: str, is_in_the_way: Callable[[Nic], bool]
) -> None:
    """Raise BadInput if cards of the group's instances are in the way, with all of them."""
    found = [
        f"{instance.name}: nic{index}/{nic.ip}"
        for node in snapshot.nodes_in(plan.group)
        for instance in snapshot.instances_on(node)
        for index, nic in enumerate(instance.nics)
        if is_in_the_way(nic)
    ]
    if found:
        raise errors.BadInput(
            f"IP addresses from network '{plan.network.name}', which is about to {action} node"
            f" group '{plan.group.name}', are in use: {', '.join(found)}; remove or change these"
            " network cards first",
            "wrong_state",
        )


def hooks(snapshot: Snapshot, path: str, plan: Plan, params: Params) -> operation.Hooks:
    """Run on the group's nodes."""
    environment = {
        "GROUP_NAME": plan.group.name,
        **{f"GROUP_NETWORK_{name.upper()}": value for name, value in params.items()},
    }
    return pools.hooks(snapshot, path, plan.network, environment, [plan.group])


async def carry_out(context: contexts.Context, plan: Plan) -> None:
    """Record it."""

    def edit(changed: draft.Draft) -> None:
        group = changed.snapshot.groups[plan.group.uuid]
        reached = {
            uuid: params for uuid, params in group.networks.items() if uuid != plan.network.uuid
        }
        if plan.params is not None:
            reached[plan.network.uuid] = plan.params
        changed.put(msgspec.structs.replace(group, networks=reached))

    await context.change(edit)
