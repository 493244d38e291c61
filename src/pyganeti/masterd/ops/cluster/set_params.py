"""OP_CLUSTER_SET_PARAMS: change the cluster's settings, and the parameters that all inherit.

What changes is worked out by `settings` and `inherited`, before anything is done and once more in
the edit, over the configuration as it is then.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.cluster import checking, inherited, settings
from pyganeti.masterd.ops.node import ensuring, promoting
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import base
from pyganeti.model.opcodes import cluster as opcodes

_SPREADING: Final = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the cluster will be like, as far as it could be told before."""

    before: Cluster
    after: Cluster


class SetParams(operation.Operation[opcodes.ClusterSetParams, Plan]):
    """Answers nothing; the log says what was done besides."""

    opcode = opcodes.ClusterSetParams

    def locks(self, op: opcodes.ClusterSetParams, snapshot: Snapshot) -> levels.Wanted:
        """Keep everything that inherits from being changed."""
        return {
            levels.Level.INSTANCE: levels.shared(levels.ALL),
            levels.Level.NODEGROUP: levels.shared(levels.ALL),
            levels.Level.NODE: levels.shared(levels.ALL),
        }

    async def prepare(self, context: contexts.Context, op: opcodes.ClusterSetParams) -> Plan:
        """Work out what changes, and have nodes say whether they can live with it."""
        if not _says_something(op):
            raise errors.BadInput("Please give at least one of the parameters.")
        snapshot = context.snapshot
        before = snapshot.cluster
        after = _changed(before, op)
        for text in settings.warnings(before, op):
            context.warn(text)
        checking.sound(snapshot, after)
        checking.feasible(snapshot, op, after)
        checking.in_use(snapshot, before, after)
        checking.policy(context, snapshot, after)
        checking.cards(snapshot, after)
        checking.allocator(context, op)
        await checking.volume_group(context, before, after)
        await checking.hypervisors(context, op, after)
        await checking.systems(context, op, after)
        return Plan(before, after)

    def hooks(
        self, context: contexts.Context, op: opcodes.ClusterSetParams, plan: Plan
    ) -> operation.Hooks:
        """Run on the master."""
        master = [context.snapshot.cluster.master_node]
        return operation.Hooks(
            path="cluster-modify",
            kind="CLUSTER",
            environment={
                "OP_TARGET": plan.before.cluster_name,
                "NEW_VG_NAME": op.vg_name,
            },
            before=master,
            after=master,
        )

    async def execute(
        self, context: contexts.Context, op: opcodes.ClusterSetParams, plan: Plan
    ) -> None:
        """Change the configuration, and what has to follow from it."""
        before = context.snapshot
        if op.master_netdev:
            await _take_address_down(context, op)
        if op.master_netmask and op.master_netmask != before.cluster.master_netmask:
            await _change_netmask(context, op.master_netmask)

        def edit(changed: draft.Draft) -> None:
            changed.put(_changed(changed.cluster, op))

        try:
            await context.change(edit)
        finally:
            if op.master_netdev:
                await _take_address_up(context)
        if op.candidate_pool_size is not None:
            await _fill_pool(context)
        if op.enabled_hypervisors is not None or (
            op.enabled_user_shutdown is not None
            and op.enabled_user_shutdown != before.cluster.enabled_user_shutdown
        ):
            # It reads the simple settings: nodes have to have them first.
            await context.config.distributed(timeout=_SPREADING)
            await ensuring.kvmd(context, *context.snapshot.nodes.values())


def _says_something(op: opcodes.ClusterSetParams) -> bool:
    common = {*base.Opcode.__struct_fields__, "force"}
    return any(
        getattr(op, name) not in (None, {}) for name in op.__struct_fields__ if name not in common
    )


def _changed(cluster: Cluster, op: opcodes.ClusterSetParams) -> Cluster:
    fields = {**settings.changes(cluster, op), **inherited.changes(cluster, op)}
    return msgspec.structs.replace(cluster, **fields)


async def _take_address_down(context: contexts.Context, op: opcodes.ClusterSetParams) -> None:
    snapshot = context.snapshot
    context.say(f"Shutting down master ip on the current netdev ({snapshot.cluster.master_netdev})")
    try:
        await _address(context, "node_deactivate_master_ip")
    except errors.Failure as error:
        if not op.force:
            raise errors.Refused(f"Could not disable the master ip: {error}") from error
        context.say(f"Could not disable the master ip (continuing anyway): {error}")
    context.say(
        f"Changing master_netdev from {snapshot.cluster.master_netdev} to {op.master_netdev}"
    )


async def _take_address_up(context: contexts.Context) -> None:
    netdev = context.snapshot.cluster.master_netdev
    context.say(f"Starting the master ip on the new master netdev ({netdev})")
    try:
        await _address(context, "node_activate_master_ip")
    except errors.Failure as error:
        context.warn(
            f"Could not re-enable the master ip on the master, please restart manually: {error}"
        )


async def _address(context: contexts.Context, call: str) -> None:
    snapshot = context.snapshot
    script = snapshot.cluster.use_external_mip_script
    await context.nodes.call(snapshot.master, call, rpcargs.master_address(snapshot), script)


async def _change_netmask(context: contexts.Context, netmask: int) -> None:
    cluster = context.snapshot.cluster
    context.say(f"Changing master IP netmask to {netmask}")
    try:
        await context.nodes.call(
            context.snapshot.master,
            "node_change_master_netmask",
            cluster.master_netmask,
            netmask,
            cluster.master_ip,
            cluster.master_netdev,
        )
    except errors.Failure as error:
        context.warn(f"Could not change the master IP netmask: {error}")


async def _fill_pool(context: contexts.Context) -> None:
    """Make nodes candidates until there are as many as there should be."""
    chosen = await promoting.choose(context, ())

    def edit(changed: draft.Draft) -> list[str]:
        return promoting.promote(changed, chosen) if chosen else []

    promoting.tell(context, await context.change(edit), ())


OPERATION = SetParams()
