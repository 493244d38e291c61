"""The calls about who is the master, its address and its daemons.

Two about the same never overlap; promises take their turn where they are remembered.

`master_request` is ours: what a master daemon that stands by hands on to the one that leads.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.noded import calls, mastership
from pyganeti.noded import node as nodes
from pyganeti.noded.net import masterip
from pyganeti.wire import epochs, forwarding, luxi, noderpc, standings


async def node_activate_master_ip(
    node: nodes.Node,
    master_params: masterip.Parameters,
    use_external_mip_script: bool,  # noqa: FBT001 - the protocol's order
) -> None:
    """Take the master's address."""
    await node.address.take(master_params, by_program=use_external_mip_script)


async def node_deactivate_master_ip(
    node: nodes.Node,
    master_params: masterip.Parameters,
    use_external_mip_script: bool,  # noqa: FBT001 - the protocol's order
) -> None:
    """Give the master's address back."""
    await node.address.give_back(master_params, by_program=use_external_mip_script)


async def node_change_master_netmask(
    node: nodes.Node, old_netmask: int, netmask: int, master_ip: str, master_netdev: str
) -> None:
    """Give the master's address another netmask."""
    await masterip.change_netmask(
        node.network.netlink, master_netdev, masterip.parse(master_ip), old_netmask, netmask
    )


async def node_start_master_daemons(node: nodes.Node, no_voting: bool) -> None:  # noqa: FBT001 - the wire's order
    """Start what makes this node the master, asking the others for their votes or not."""
    await mastership.begin(node.paths, no_voting=no_voting)


async def node_stop_master(node: nodes.Node) -> None:
    """Stop what makes this node the master."""
    await mastership.end(node.paths)


async def master_request(node: nodes.Node, request: list[Any], patience: float) -> Any:  # noqa: ANN401 - JSON
    """Hand a request to the master daemon that leads here; answer what became of it."""
    if not 0 < patience <= forwarding.LONGEST:
        raise errors.BadInput(f"a request may take up to {forwarding.LONGEST:g} seconds")
    data = await asyncio.to_thread(noderpc.decode_blob, request, luxi.REQUEST_LIMIT)
    return await node.door.ask(data, patience)


async def master_promise(node: nodes.Node, epoch: int, master: str) -> None:
    """Promise to obey no master of an earlier epoch any more."""
    await node.fence.promise(epochs.of(epoch, master))


async def master_standing(node: nodes.Node) -> standings.Standing:
    """Answer which master is obeyed, and how new this node's copies are."""
    return await node.copies.standing()


async def master_config(node: nodes.Node) -> dict[str, Any]:
    """Answer this node's copy of the configuration."""
    return await node.copies.config()


async def master_jobs(node: nodes.Node, after: int) -> dict[str, Any]:
    """Answer jobs of this node's copy of the queue, from behind a number on."""
    return await node.copies.jobs(after)


def _daemons(_arguments: Sequence[Any]) -> str:
    return "the master's daemons"


def _one_by_one(_arguments: Sequence[Any]) -> str:
    return "the master's address"


CALLS: Final = (
    calls.Call("master_promise", master_promise),
    calls.Call("master_standing", master_standing),
    calls.Call("master_config", master_config),
    calls.Call("master_jobs", master_jobs),
    calls.Call("node_activate_master_ip", node_activate_master_ip, _one_by_one),
    calls.Call("node_deactivate_master_ip", node_deactivate_master_ip, _one_by_one),
    calls.Call("node_change_master_netmask", node_change_master_netmask, _one_by_one),
    calls.Call("node_start_master_daemons", node_start_master_daemons, _daemons),
    calls.Call("node_stop_master", node_stop_master, _daemons),
    calls.Call(forwarding.CALL, master_request),
)
