"""Whether and where to an instance can be moved: what migrations and failovers check alike.

Only instances whose disks other nodes reach too can be moved, and with ``drbd`` none yet: no node
daemon of ours has it. An instance that is to be moved live and cannot be may be failed over
instead, where that was allowed.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import checks, hookenv, locking, policy, relocating
from pyganeti.model.config import filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template
from pyganeti.model.opcodes import instance as opcodes

Opcode = opcodes.InstanceMigrate | opcodes.InstanceFailover

_EVERYWHERE: Final = frozenset(
    {
        Template.BLOCK,
        Template.DISKLESS,
        Template.EXT,
        Template.GLUSTER,
        Template.RBD,
        Template.SHARED_FILE,
    }
)
"""Templates whose disks are the same on every node."""

_CLUSTER: Final = levels.shared({levels.BIG})
_NON_LIVE: Final = "non-live"
_SHUTDOWN_TIMEOUT: Final = 120


class Way(enum.Enum):
    """How an instance gets to its other node."""

    MIGRATION = enum.auto()
    FAILOVER = enum.auto()
    CLEANUP = enum.auto()
    """It may be there already: a move was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One move. ``target`` is None only in a cleanup that is told no node: it is found out.

    ``memory`` is what the instance has now, ``free`` what its target has, in MiB.
    """

    instance: Instance
    source: Node
    target: Node | None
    way: Way
    live: bool = False
    memory: int = 0
    free: int = 0
    shutdown_timeout: int = _SHUTDOWN_TIMEOUT
    ignore_consistency: bool = False


def locks(snapshot: Snapshot, op: Opcode) -> levels.Wanted:
    """Lock the instance, and keep its node and the target from being changed.

    All nodes, if the target is yet to be chosen. A migration has its nodes to itself: a node
    listens for one guest at a time.
    """
    instance = locking.find(snapshot, op)
    if op.target_node is None and op.target_node_uuid is None:
        return _locks(op, instance, levels.ALL)
    return _locks(op, instance, frozenset({instance.primary_node, _named(snapshot, op).uuid}))


def _locks(
    op: Opcode, instance: Instance, nodes: frozenset[str] | Literal[levels.All.ALL]
) -> levels.Wanted:
    is_failover = isinstance(op, opcodes.InstanceFailover)
    return {
        levels.Level.INSTANCE: levels.exclusive([instance.name]),
        levels.Level.NODE: levels.shared(nodes) if is_failover else levels.exclusive(nodes),
        levels.Level.NODE_RES: levels.shared(nodes),
    }


async def prepare(context: contexts.Context, op: Opcode) -> Plan:
    """Check all that both ways of moving need, and decide which it is."""
    snapshot = context.snapshot
    instance = locking.find(snapshot, op)
    source = snapshot.nodes[instance.primary_node]
    way = Way.FAILOVER if isinstance(op, opcodes.InstanceFailover) else Way.MIGRATION
    falls_back = isinstance(op, opcodes.InstanceMigrate) and op.allow_failover
    if op.cleanup:
        way = Way.CLEANUP
    elif way is Way.MIGRATION and falls_back and instance.admin_state != "up":
        context.info("Instance is marked down or offline, fallback allowed, switching to failover")
        way = Way.FAILOVER
    _check_disks(snapshot.disks_of(instance), way)
    target = await _target(context, op, instance, way)
    free = 0
    if target is not None:
        free = await _check_target(context, op, instance, target, way)
    backend = filling.backend(snapshot.cluster, instance.beparams)
    if way is Way.MIGRATION and backend["always_failover"]:
        context.info("Instance configured to always failover; fallback to failover")
        way = Way.FAILOVER
    if way is Way.MIGRATION:
        way = await _check_source(context, instance, source, falls_back=falls_back)
    memory = 0
    if way is Way.MIGRATION:
        said = await checks.running(context, snapshot, instance, source)
        if said is not None and isinstance(said.get("memory"), int):
            memory = said["memory"]
    return Plan(
        instance=instance,
        source=source,
        target=target,
        way=way,
        live=way is not Way.FAILOVER and _is_live(snapshot, op, instance),
        memory=memory,
        free=free,
        shutdown_timeout=getattr(op, "shutdown_timeout", _SHUTDOWN_TIMEOUT),
        ignore_consistency=getattr(op, "ignore_consistency", False),
    )


def environment(snapshot: Snapshot, plan: Plan) -> dict[str, object]:
    """Return what hooks of both ways are told: where from and where to.

    As with Ganeti, the old primary is the one that the instance has by then, afterwards too.
    """
    target = plan.source if plan.target is None else plan.target
    instance = snapshot.instances[plan.instance.uuid]
    return {
        "OLD_PRIMARY": snapshot.nodes[instance.primary_node].name,
        "NEW_PRIMARY": target.name,
        "OLD_SECONDARY": "",
        "NEW_SECONDARY": "",
        **hookenv.of(snapshot, instance),
    }


def hooks(
    snapshot: Snapshot,
    path: str,
    plan: Plan,
    said: Mapping[str, object],
    *,
    on_source_before: bool,
) -> operation.Hooks:
    """Return hooks on the master, the target and the source; there only afterwards if so told."""
    target = [] if plan.target is None else [plan.target.uuid]
    master = snapshot.cluster.master_node
    after = [master, plan.source.uuid, *target]
    return operation.Hooks(
        path=path,
        kind="INSTANCE",
        environment={**environment(snapshot, plan), **said},
        before=after if on_source_before else [master, *target],
        after=after,
    )


def _named(snapshot: Snapshot, op: Opcode) -> Node:
    return snapshot.node(op.target_node_uuid or op.target_node or "")


def _check_disks(disks: Sequence[Disk], way: Way) -> None:
    bad = sorted({disk.dev_type.value for disk in disks if disk.dev_type not in _EVERYWHERE})
    if not bad:
        return
    what = "failovers" if way is Way.FAILOVER else "migrations"
    if Template.DRBD.value in bad:
        raise errors.BadInput(
            f"Instance's disk layout 'drbd' does not allow {what} by this master daemon yet",
            "wrong_state",
        )
    raise errors.BadInput(
        f"Instance's disk layout '{', '.join(bad)}' does not allow {what}: no other node has its"
        " disks",
        "wrong_state",
    )


async def _target(
    context: contexts.Context, op: Opcode, instance: Instance, way: Way
) -> Node | None:
    """Return the node that was named, or chosen; in a cleanup possibly none."""
    snapshot = context.snapshot
    is_named = op.target_node is not None or op.target_node_uuid is not None
    if is_named and op.iallocator is not None:
        raise errors.BadInput("Do not specify both, iallocator and node")
    if not is_named:
        if way is Way.CLEANUP:
            return None
        target = await relocating.choose(context, instance, op.iallocator)
        both = frozenset({instance.primary_node, target.uuid})
        context.held.narrow({levels.Level.CLUSTER: _CLUSTER, **_locks(op, instance, both)})
        return target
    target = _named(snapshot, op)
    if target.uuid == instance.primary_node:
        raise errors.BadInput(
            f"Cannot migrate instance {instance.name} to its primary ({target.name})",
            "wrong_state",
        )
    return target


async def _check_target(
    context: contexts.Context, op: Opcode, instance: Instance, target: Node, way: Way
) -> int:
    """Check policy, memory, bridges and state of the target; return how much memory is free."""
    snapshot = context.snapshot
    checks.online(target)
    _check_policy(context, op, instance, target)
    free = 0
    if way is Way.MIGRATION or (way is Way.FAILOVER and instance.admin_state == "up"):
        backend = filling.backend(snapshot.cluster, instance.beparams)
        free = await checks.memory(
            context,
            snapshot,
            target,
            instance.hypervisor,
            backend["minmem"],
            f"migrating instance {instance.name}",
        )
    else:
        context.info("Not checking memory on the secondary node as instance will not be started")
    await checks.bridges(context, snapshot, instance, target)
    if way is not Way.CLEANUP:
        checks.usable(target)
    return free


def _check_policy(context: contexts.Context, op: Opcode, instance: Instance, target: Node) -> None:
    snapshot = context.snapshot
    if target.group == snapshot.nodes[instance.primary_node].group:
        return
    group = snapshot.group_of(target)
    found = policy.violations(
        filling.policy(snapshot.cluster, group), policy.of(snapshot, instance)
    )
    if not found:
        return
    words = (
        f"Instance does not meet target node group's ({group.name}) instance policy:"
        f" {', '.join(found)}"
    )
    if not op.ignore_ipolicy:
        raise errors.BadInput(words)
    context.warn(words)


async def _check_source(
    context: contexts.Context, instance: Instance, source: Node, *, falls_back: bool
) -> Way:
    """Ask the source whether it could send the instance; return what is to be done."""
    told = rpcargs.instance_for_node(context.snapshot, instance)
    try:
        await context.nodes.call(source, "instance_migratable", told)
    except errors.Failure as error:
        if not falls_back:
            raise errors.BadInput(
                f"Can't migrate, please use failover: {error}", "wrong_state"
            ) from error
        context.info("Can't migrate, instance offline, fallback to failover")
        return Way.FAILOVER
    return Way.MIGRATION


def _is_live(snapshot: Snapshot, op: Opcode, instance: Instance) -> bool:
    live = getattr(op, "live", None)
    mode = getattr(op, "mode", None)
    if live is not None and mode is not None:
        raise errors.BadInput("Only one of the 'live' and 'mode' parameters are accepted")
    if live is not None:
        return bool(live)
    if mode is None:
        mode = filling.hypervisor_of(snapshot.cluster, instance).get("migration_mode")
    return bool(mode != _NON_LIVE)
