"""Having a cluster's last node forget it: the daemons end, the secrets go.

The node daemon does it, as on any node that leaves: what there is to forget it knows. If it stops
half way, the message says how to go on.
"""

import asyncio
from typing import Final

from pyganeti.base import errors, paths, services, ssconf
from pyganeti.clients import node, promises

_PATIENCE: Final = 120.0
_SSH_SETUP_STAYS: Final = False


def leave(layout: paths.Paths) -> None:
    """Have the master's daemons end, and the node leave. Raises Unavailable."""
    try:
        asyncio.run(_leave(layout, _address(layout)))
    except (OSError, errors.Failure) as error:
        raise errors.Unavailable(
            f"this node has not forgotten the cluster: {error}; see that ganeti-noded and"
            " ganeti-masterd run, and do it again"
        ) from error


async def _leave(layout: paths.Paths, address: str) -> None:
    port = services.port("ganeti-noded")
    # It is the last master that has the cluster forgotten.
    known = (await asyncio.to_thread(promises.read, layout.epoch_file)).known
    context = node.context_of(layout)
    async with node.Caller(context, port=port, epoch=lambda: known) as caller:
        await caller.call(address, "node_stop_master", timeout=_PATIENCE)
        await caller.call(address, "node_leave_cluster", [_SSH_SETUP_STAYS], timeout=_PATIENCE)


def _address(layout: paths.Paths) -> str:
    """Return this node's address, by the settings."""
    name = layout.hostname
    for line in (ssconf.read(layout, "node_primary_ips") or "").splitlines():
        if line.split()[:1] == [name]:
            return line.split()[1]
    raise errors.Unavailable("this node's own address is in no setting")
