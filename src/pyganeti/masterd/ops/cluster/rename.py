"""OP_CLUSTER_RENAME: give the cluster another name, and the address that the name means."""

import asyncio
import contextlib
from typing import Final

import msgspec

from pyganeti.base import errors, resolving
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.cluster import address
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster
from pyganeti.wire import noderpc

_AF_INET6: Final = 10
_CONNECT: Final = 10.0


class Rename(operation.Operation[cluster.ClusterRename, resolving.Host]):
    """The plan is the new name and address. Answers the name.

    A master daemon that dies in between takes the address of its configuration when it starts.
    """

    opcode = cluster.ClusterRename

    def locks(self, op: cluster.ClusterRename, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(self, context: contexts.Context, op: cluster.ClusterRename) -> resolving.Host:
        """Find out what the name means, and that nobody else has that address."""
        now = context.snapshot.cluster
        ipv6 = now.primary_ip_family == _AF_INET6
        found = await asyncio.to_thread(resolving.resolve, op.name, ipv6=ipv6)
        if found is None:
            raise errors.BadInput(
                f"the name {op.name} does not resolve here: enter it into the DNS or /etc/hosts",
                "resolver_error",
            )
        if found.name == now.cluster_name and found.address == now.master_ip:
            raise errors.BadInput("Neither the name nor the IP address of the cluster has changed")
        if found.address != now.master_ip and await _answers(found.address):
            raise errors.BadInput(
                f"The given cluster IP address ({found.address}) is reachable on the network",
                "resource_not_unique",
            )
        return found

    def hooks(
        self, context: contexts.Context, op: cluster.ClusterRename, plan: resolving.Host
    ) -> operation.Hooks:
        """Run on the master before, and on all nodes after."""
        snapshot = context.snapshot
        return operation.Hooks(
            path="cluster-rename",
            kind="CLUSTER",
            environment={"OP_TARGET": snapshot.cluster.cluster_name, "NEW_NAME": plan.name},
            before=[snapshot.cluster.master_node],
            after=list(snapshot.nodes),
        )

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterRename, plan: resolving.Host
    ) -> str:
        """Give the old address up, change the configuration, take the new one."""
        await address.order(context, "deactivate")

        def edit(changed: draft.Draft) -> None:
            changed.put(
                msgspec.structs.replace(
                    changed.cluster, cluster_name=plan.name, master_ip=plan.address
                )
            )

        try:
            await context.change(edit)
        finally:
            try:
                await address.order(context, "activate")
            except errors.Failure as error:
                context.warn(f"{error}; please restart the master daemon")
        if context.snapshot.cluster.modify_ssh_setup:
            context.warn("known_hosts on the nodes has the keys under the old name still")
        return plan.name


async def _answers(where: str) -> bool:
    """Tell whether a node daemon has this address already."""
    try:
        async with asyncio.timeout(_CONNECT):
            _, writer = await asyncio.open_connection(where, noderpc.PORT)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


OPERATION = Rename()
