"""What the two opcodes about the master's address have in common."""

from typing import Literal

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts


async def order(context: contexts.Context, what: Literal["activate", "deactivate"]) -> None:
    """Have the master take the cluster's address, or give it back; raises Refused."""
    snapshot = context.snapshot
    try:
        await context.nodes.call(
            snapshot.master,
            f"node_{what}_master_ip",
            rpcargs.master_address(snapshot),
            snapshot.cluster.use_external_mip_script,
        )
    except errors.Failure as error:
        raise errors.Refused(f"Could not {what} the master IP: {error}") from error
