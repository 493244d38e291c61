"""What has to run or be there on a node besides its node daemon."""

from collections.abc import Iterable
from typing import Final

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config import filling
from pyganeti.model.config.node import Node

_KVMD: Final = "ganeti-kvmd"


async def kvmd(context: contexts.Context, *nodes: Node) -> None:
    """Have kvmd run where guests may power themselves off, and nowhere else; failures are warned.

    One that ends by itself since there is nothing to do for it is as it should be.
    """
    cluster = context.snapshot.cluster
    is_wanted = "kvm" in cluster.enabled_hypervisors and cluster.enabled_user_shutdown
    starting = [node for node in nodes if is_wanted and node.vm_capable]
    stopping = [node for node in nodes if node not in starting]
    await _ensure(context, starting, run=True)
    await _ensure(context, stopping, run=False)


async def _ensure(context: contexts.Context, nodes: Iterable[Node], *, run: bool) -> None:
    asked = [node for node in nodes if not node.offline]
    answers = await context.nodes.each(asked, "node_ensure_daemon", (_KVMD, run))
    for node in asked:
        error = answers[node.uuid].error
        if error is not None:
            word = "start" if run else "stop"
            context.warn(f"Failed to {word} KVM daemon on node '{node.name}': {error}")


async def switch(context: contexts.Context, node: Node) -> None:
    """Have a node's Open vSwitch be there, if it is to have one; raises Failure."""
    snapshot = context.snapshot
    filled = filling.node(snapshot.cluster, snapshot.groups[node.group], node)
    if not filled["ovs"]:
        return
    if not filled["ovs_link"]:
        context.info(
            "No physical interface for OpenvSwitch was given. OpenvSwitch will not have an outside"
            " connection. This might not be what you want."
        )
    try:
        await context.nodes.call(node, "node_configure_ovs", filled["ovs_name"], filled["ovs_link"])
    except errors.Failure as error:
        raise errors.Refused(f"Failed to initialize OpenVSwitch on new node: {error}") from error
