"""OP_CLUSTER_RENEW_CRYPTO: new certificates for the nodes, and the cluster's if one waits.

Each node makes its own anew; the map of those that may call is changed for all at once. The
master's new one is known to every node beside the old before it shows it. A job that is cut off
anywhere leaves a cluster that works, and the same job again ends what it had begun.
"""

import asyncio
import os
from typing import Final

import msgspec

from pyganeti.base import errors, files, paths
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.cluster import rollout
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster

_PATIENCE: Final = 60.0
_WAITING: Final = "client.pem.tmp"
_TEMPORARY: Final = "/var/lib/ganeti/client.pem.tmp"
"""As all nodes call it."""

_SECOND: Final = "-new"
"""Behind the master's uuid: the key of its certificate to be."""


class RenewCrypto(operation.Operation[cluster.ClusterRenewCrypto, None]):
    """Renews what nodes know each other by."""

    opcode = cluster.ClusterRenewCrypto

    def locks(self, op: cluster.ClusterRenewCrypto, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone: disks and memory go between nodes by these certificates, too."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(self, context: contexts.Context, op: cluster.ClusterRenewCrypto) -> None:
        """Refuse what is not done here."""
        if op.renew_ssh_keys and context.snapshot.cluster.modify_ssh_setup:
            raise errors.BadInput("the nodes' ssh keys are not looked after here")
        if op.ssh_key_type is not None or op.ssh_key_bits is not None:
            raise errors.BadInput("the nodes' ssh keys are not looked after here")

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterRenewCrypto, plan: None
    ) -> None:
        """Renew what was asked for."""
        if op.node_certificates:
            for node in context.snapshot.nodes.values():
                if node.offline:
                    context.warn(
                        f"{node.name} is marked offline and keeps its certificates; when it is"
                        " back, add it again with gnt-node add --readd"
                    )
            rolling = await asyncio.to_thread(rollout.read, context.layout)
            if rolling is not None:
                await rollout.begin(context, rolling)
            context.say("* renewing the nodes' certificates")
            await _renew_nodes(context)
            if rolling is not None:
                await rollout.end(context, rolling)
        if op.renew_ssh_keys:
            context.say(
                "Cannot renew SSH keys if the cluster is configured to not modify the SSH setup."
            )


async def _renew_nodes(context: contexts.Context) -> None:
    snapshot = context.snapshot
    master = snapshot.master
    others = [node for node in context.online(snapshot.nodes.values()) if node is not master]
    made = await context.nodes.each(others, "node_crypto_tokens", ([("ssl", "create", None)],))
    failed = [f"{node.name}: {made[node.uuid].error}" for node in others if made[node.uuid].failed]
    digests = {
        node.uuid: _digest(made[node.uuid].payload)
        for node in others
        if node.master_candidate and not made[node.uuid].failed
    }
    [[_, own]] = await context.nodes.call(
        master, "node_crypto_tokens", [("ssl", "create", {"cert_file": _TEMPORARY})]
    )
    await context.change(lambda changed: _write_map(changed, digests, str(own), is_shown=False))
    behind = await context.config.distributed(timeout=_PATIENCE)
    if behind or failed:
        await context.change(lambda changed: _write_map(changed, digests, None, is_shown=False))
        raise errors.Refused(
            "the master goes on with its old certificate, for not all nodes could be told of the"
            f" new one: {'; '.join(failed) or ', '.join(behind)}; bring these nodes back or mark"
            " them offline, and do it again"
        )
    await asyncio.to_thread(_show, context.layout)
    await rollout.renew_own(context)
    await context.change(lambda changed: _write_map(changed, digests, str(own), is_shown=True))
    for name in await context.config.distributed(timeout=_PATIENCE):
        context.warn(f"{name} does not have the changed configuration yet")


def _write_map(
    changed: draft.Draft, digests: dict[str, str], own: str | None, *, is_shown: bool
) -> None:
    """Write whose certificates may call: the master's new one beside the old, or alone."""
    present = changed.cluster
    master = present.master_node
    candidates = {
        uuid for uuid, node in changed.snapshot.nodes.items() if node.master_candidate
    } | {master}
    known = {uuid: one for uuid, one in present.candidate_certs.items() if uuid in candidates}
    known |= digests
    if own is not None:
        known[master if is_shown else f"{master}{_SECOND}"] = own
    changed.put(msgspec.structs.replace(present, candidate_certs=known))


def _show(layout: paths.Paths) -> None:
    """Put the master's new certificate in the place of the old one, durably. Blocks."""
    path = layout.client_certificate
    try:
        os.replace(path.with_name(_WAITING), path)  # noqa: PTH105 - as `files` does it
        files.sync_directory(path.parent)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be replaced: {error.strerror}") from error


def _digest(payload: object) -> str:
    match payload:
        case [[_, str(digest)]]:
            return digest
    raise errors.Damaged(f"a node does not say which certificate it made: {payload!r:.80}")


OPERATION = RenewCrypto()
