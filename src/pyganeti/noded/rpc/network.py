"""The calls about a node's bridges and addresses."""

from typing import Final

from pyganeti.base import errors
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.net import addresses, masterip, openvswitch


async def bridges_exist(node: nodes.Node, bridges_list: list[str]) -> None:
    """Fail, naming them, if bridges are not there."""
    missing = await node.network.missing_bridges(bridges_list)
    if missing:
        raise errors.BadInput(f"Missing bridges {', '.join(missing)}")


async def node_has_ip_address(node: nodes.Node, address: str) -> bool:
    """Answer whether an address is this node's."""
    try:
        parsed = masterip.parse(address)
    except errors.BadInput:
        return False
    return await node.network.netlink.ask(addresses.is_here, parsed)


async def node_configure_ovs(_node: nodes.Node, ovs_name: str, ovs_link: str | None) -> None:
    """Have an Open vSwitch, with an interface of the node's as a port of it."""
    try:
        await openvswitch.make(ovs_name, ovs_link or None)
    except errors.Failure as error:
        raise errors.Unavailable(f"node_configure_ovs: {error}") from error


CALLS: Final = (
    calls.Call("bridges_exist", bridges_exist),
    calls.Call("node_has_ip_address", node_has_ip_address),
    calls.Call("node_configure_ovs", node_configure_ovs, calls.by(0)),
)
