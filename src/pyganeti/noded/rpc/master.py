"""The calls about the master's address. Two of them never overlap."""

from collections.abc import Sequence
from typing import Any, Final

from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.net import masterip
from pyganeti.noded.programs import localhooks


async def node_activate_master_ip(
    node: nodes.Node,
    master_params: masterip.Parameters,
    use_external_mip_script: bool,  # noqa: FBT001 - the protocol's order
) -> None:
    """Take the master's address, within the hooks ``master-ip-turnup``."""
    about = master_params.environment
    async with localhooks.around(node.paths, "master-ip-turnup", "OP_CLUSTER_IP_TURNUP", about):
        if use_external_mip_script:
            await masterip.run_program(node.paths, "start", master_params)
        else:
            await masterip.take(node.network.netlink, master_params)


async def node_deactivate_master_ip(
    node: nodes.Node,
    master_params: masterip.Parameters,
    use_external_mip_script: bool,  # noqa: FBT001 - the protocol's order
) -> None:
    """Give the master's address back, within the hooks ``master-ip-turndown``."""
    about = master_params.environment
    async with localhooks.around(node.paths, "master-ip-turndown", "OP_CLUSTER_IP_TURNDOWN", about):
        if use_external_mip_script:
            await masterip.run_program(node.paths, "stop", master_params)
        else:
            await masterip.give_back(node.network.netlink, master_params)


async def node_change_master_netmask(
    node: nodes.Node, old_netmask: int, netmask: int, master_ip: str, master_netdev: str
) -> None:
    """Give the master's address another netmask."""
    await masterip.change_netmask(
        node.network.netlink, master_netdev, masterip.parse(master_ip), old_netmask, netmask
    )


def _one_by_one(_arguments: Sequence[Any]) -> str:
    return "the master's address"


CALLS: Final = (
    calls.Call("node_activate_master_ip", node_activate_master_ip, _one_by_one),
    calls.Call("node_deactivate_master_ip", node_deactivate_master_ip, _one_by_one),
    calls.Call("node_change_master_netmask", node_change_master_netmask, _one_by_one),
)
