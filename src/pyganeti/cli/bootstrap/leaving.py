"""Having a cluster's last node forget it: the daemons end, the secrets go.

The node daemon does it, as on any node that leaves: what there is to forget it knows. If it stops
half way, the message says how to go on.
"""

import asyncio
from typing import Final

from pyganeti.base import errors, paths, services, ssconf
from pyganeti.clients import node, promises
from pyganeti.wire import storefile

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
        await _forget_in_etcd(layout)
        await caller.call(address, "node_leave_cluster", [_SSH_SETUP_STAYS], timeout=_PATIENCE)


async def _forget_in_etcd(layout: paths.Paths) -> None:
    """Remove what is in etcd of the cluster, if that is where it is kept."""
    try:
        kept = storefile.decode(await asyncio.to_thread(layout.store_file.read_bytes))
    except FileNotFoundError:
        return
    from pyganeti.clients.etcd import client, messages, reaching

    prefix = kept.prefix.encode()
    async with client.Client(reaching.access_of(kept, layout)) as etcd:
        gone = messages.Delete(prefix, messages.end_of(prefix))
        await etcd.transact(messages.Transaction(then=(gone,)))


def _address(layout: paths.Paths) -> str:
    """Return this node's address, by the settings."""
    name = layout.hostname
    for line in (ssconf.read(layout, "node_primary_ips") or "").splitlines():
        if line.split()[:1] == [name]:
            return line.split()[1]
    raise errors.Unavailable("this node's own address is in no setting")
