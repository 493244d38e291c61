"""OP_NODE_SET_PARAMS: change a node's role, what it can do, its parameters and second address."""

import asyncio
import contextlib
import ipaddress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation, parameters
from pyganeti.masterd.ops.node import ensuring, promoting, roles, statics
from pyganeti.model.config import candidates, defaults, filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node as opcodes
from pyganeti.wire import noderpc

_CONNECT: Final = 10.0
_SPREADING: Final = 15.0

Pairs = list[tuple[str, str]]


@dataclass(slots=True, kw_only=True)
class Plan:
    """What becomes of a node. ``fields`` are those that change besides its role."""

    node: Node
    role: roles.Role
    fields: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    """That of its certificate, if it becomes a candidate."""

    promoted: dict[str, str] = field(default_factory=dict)
    """Others that become candidates so that there are enough, with theirs."""

    @property
    def before(self) -> roles.Role:
        """The role it has."""
        return roles.of(self.node)


class SetParams(operation.Operation[opcodes.NodeSetParams, Plan]):
    """Answers what changed, as pairs. All of it is one change of the configuration."""

    opcode = opcodes.NodeSetParams

    def locks(self, op: opcodes.NodeSetParams, snapshot: Snapshot) -> levels.Wanted:
        """Have the node alone; all of them, if others may have to become candidates."""
        node = _find(snapshot, op)
        names = levels.ALL if op.auto_promote and _may_demote(op) else frozenset({node.uuid})
        wanted = {
            levels.Level.NODE: levels.exclusive(names),
            levels.Level.NODE_RES: levels.exclusive(names),
        }
        if op.secondary_ip is not None:
            mirrored = _mirrored(snapshot, node)
            wanted[levels.Level.INSTANCE] = levels.shared(one.name for one in mirrored)
        return wanted

    async def prepare(self, context: contexts.Context, op: opcodes.NodeSetParams) -> Plan:
        """Check that it makes sense, and ask who is concerned."""
        snapshot = context.snapshot
        node = _find(snapshot, op)
        _check_words(op)
        _check_state(snapshot, node, op)
        asked = roles.Asked(
            master_candidate=op.master_candidate,
            drained=op.drained,
            offline=op.offline,
            master_capable=op.master_capable,
        )
        decision = roles.decide(snapshot, node, asked)
        for note in decision.notes:
            context.info(note)
        plan = Plan(node=node, role=decision.role, fields=_fields(node, op))
        if plan.before is roles.Role.OFFLINE and plan.role is not plan.before:
            await _check_back(context, node)
        if op.secondary_ip:
            await _check_secondary(context, node, op)
        if plan.role is roles.Role.CANDIDATE and plan.role is not plan.before:
            await _learn_digest(context, plan)
        if op.auto_promote and _may_demote(op) and plan.before is roles.Role.CANDIDATE:
            plan.promoted = await promoting.choose(context, {node.uuid})
        return plan

    def hooks(
        self, context: contexts.Context, op: opcodes.NodeSetParams, plan: Plan
    ) -> operation.Hooks:
        """Run on the master and on the node."""
        nodes = [context.snapshot.cluster.master_node, plan.node.uuid]
        return operation.Hooks(
            path="node-modify",
            kind="NODE",
            environment={
                "OP_TARGET": plan.node.name,
                "MASTER_CANDIDATE": op.master_candidate,
                "OFFLINE": op.offline,
                "DRAINED": op.drained,
                "MASTER_CAPABLE": op.master_capable,
                "VM_CAPABLE": op.vm_capable,
            },
            before=nodes,
            after=nodes,
        )

    async def execute(
        self, context: contexts.Context, op: opcodes.NodeSetParams, plan: Plan
    ) -> Pairs:
        """Change the configuration, then have the node do what follows from it."""
        uuid = plan.node.uuid
        flags = plan.role.flags

        def edit(changed: draft.Draft) -> list[str]:
            present = changed.snapshot.nodes[uuid]
            changed.put(msgspec.structs.replace(present, **plan.fields, **flags))
            if plan.role is not roles.Role.CANDIDATE:
                _shut_out(changed, uuid)
            if plan.digest:
                promoting.promote(changed, {uuid: plan.digest})
            return promoting.promote(changed, plan.promoted) if plan.promoted else []

        promoted = await context.change(edit)
        if plan.role is not plan.before:
            promoting.tell(context, promoted, ())
            await self._demote(context, plan)
        await ensuring.kvmd(context, context.snapshot.nodes[uuid])
        return _told(op, plan)

    async def _demote(self, context: contexts.Context, plan: Plan) -> None:
        """Have a node that is no candidate any more put its copy of the configuration aside.

        Only once nobody sends it another one.
        """
        if plan.before is not roles.Role.CANDIDATE or plan.role is roles.Role.OFFLINE:
            return
        await context.config.distributed(timeout=_SPREADING)
        try:
            await context.nodes.call(context.snapshot.nodes[plan.node.uuid], "node_demote_from_mc")
        except errors.Failure as error:
            context.warn(f"Node failed to demote itself: {error}")


def _find(snapshot: Snapshot, op: opcodes.NodeSetParams) -> Node:
    return snapshot.node(op.node_uuid or op.node_name)


def _may_demote(op: opcodes.NodeSetParams) -> bool:
    return (
        op.master_candidate is False
        or op.offline is True
        or op.drained is True
        or op.master_capable is False
    )


def _mirrored(snapshot: Snapshot, node: Node) -> list[Instance]:
    """Return the instances whose mirrors' traffic goes through a node's second address."""
    return [
        one
        for one in (*snapshot.instances_on(node), *snapshot.secondaries_on(node))
        if any(disk.is_mirrored for disk in snapshot.disks_of(one))
    ]


def _check_words(op: opcodes.NodeSetParams) -> None:
    flags = [op.offline, op.master_candidate, op.drained, op.master_capable, op.vm_capable]
    others = [op.secondary_ip, op.ndparams, op.hv_state, op.disk_state, op.powered]
    if all(one is None for one in (*flags, *others)):
        raise errors.BadInput("Please pass at least one modification")
    if flags.count(True) > 1:
        raise errors.BadInput("Can't set the node into more than one state at the same time")
    if op.secondary_ip:
        try:
            ipaddress.IPv4Address(op.secondary_ip)
        except ValueError as error:
            raise errors.BadInput(
                f"Secondary IP ({op.secondary_ip}) needs to be a valid IPv4 address"
            ) from error


def _check_state(snapshot: Snapshot, node: Node, op: opcodes.NodeSetParams) -> None:
    is_master = node.uuid == snapshot.cluster.master_node
    changes_role = any(one is not None for one in (op.master_candidate, op.drained, op.offline))
    if is_master and changes_role:
        raise errors.BadInput("The master role can be changed only via master-failover")
    if is_master and op.master_capable is False:
        raise errors.BadInput("Master must remain master capable", "wrong_state")
    if op.master_candidate and not node.master_capable:
        raise errors.BadInput(
            f"Node {node.name} is not master capable, cannot make it a master candidate",
            "wrong_state",
        )
    if op.vm_capable is False and (snapshot.instances_on(node) or snapshot.secondaries_on(node)):
        raise errors.BadInput(
            f"Node {node.name} hosts instances, cannot unset the vm_capable flag", "wrong_state"
        )
    if node.master_candidate and _may_demote(op) and not op.auto_promote:
        counted = candidates.count(snapshot, {node.uuid})
        if counted.present < counted.wanted:
            raise errors.BadInput(
                "Not enough master candidates, please pass auto promote option to allow promotion"
                " (--auto-promote or RAPI auto_promote=True)",
                "wrong_state",
            )
    program = filling.node(snapshot.cluster, snapshot.group_of(node), node)["oob_program"]
    if program and op.offline is False and not (node.powered or op.powered):
        raise errors.BadInput(
            f"Node {node.name} needs to be turned on before its offline status can be reset",
            "wrong_state",
        )
    if not program and op.powered is not None:
        raise errors.BadInput(
            f"Unable to change powered state for node {node.name} as it does not support"
            " out-of-band handling",
            "wrong_state",
        )


def _fields(node: Node, op: opcodes.NodeSetParams) -> dict[str, Any]:
    """Return the fields that change besides the role; raises BadInput for wrong parameters."""
    found: dict[str, Any] = {
        name: value
        for name in ("master_capable", "vm_capable", "powered")
        if (value := getattr(op, name)) is not None
    }
    if op.secondary_ip:
        found["secondary_ip"] = op.secondary_ip
    if op.ndparams:
        if everywhere := sorted(defaults.NODE_GLOBALS & op.ndparams.keys()):
            raise errors.BadInput(
                "The following node parameters are global and cannot be customized at node level,"
                f" please modify them at cluster or group level: {', '.join(everywhere)}"
            )
        given = parameters.typed(op.ndparams, defaults.NODE, "node")
        found["ndparams"] = parameters.merged(node.ndparams, given)
    if op.hv_state:
        found["hv_state_static"] = statics.hypervisors(op.hv_state, node.hv_state_static)
    if op.disk_state:
        found["disk_state_static"] = statics.storage(op.disk_state, node.disk_state_static)
    return found


def _shut_out(changed: draft.Draft, uuid: str) -> None:
    """Take a node's certificate off those that are let in."""
    certificates = {
        one: digest for one, digest in changed.cluster.candidate_certs.items() if one != uuid
    }
    if len(certificates) < len(changed.cluster.candidate_certs):
        changed.put(msgspec.structs.replace(changed.cluster, candidate_certs=certificates))


async def _learn_digest(context: contexts.Context, plan: Plan) -> None:
    awake = msgspec.structs.replace(plan.node, offline=False)
    try:
        plan.digest = await promoting.certificate_of(context, awake)
    except errors.Failure as error:
        raise errors.BadInput(
            f"Could not retrieve the SSL digest of node {plan.node.name}: {error}",
            "environment_error",
        ) from error


async def _check_back(context: contexts.Context, node: Node) -> None:
    """Check that a node that is to be online again answers."""
    try:
        await context.nodes.call(msgspec.structs.replace(node, offline=False), "version")
    except errors.Failure as error:
        raise errors.BadInput(
            f"Node {node.name} is being de-offlined but fails to report its version: {error}",
            "wrong_state",
        ) from error
    context.warn(
        "Transitioning node from offline to online state without using re-add. Please make sure"
        " the node is healthy!"
    )


async def _check_secondary(
    context: contexts.Context, node: Node, op: opcodes.NodeSetParams
) -> None:
    """Check that a node may have, and has, its new second address."""
    snapshot, wanted = context.snapshot, op.secondary_ip or ""
    master = snapshot.master
    is_single = master.secondary_ip == master.primary_ip
    becomes_single = wanted == node.primary_ip
    if is_single != becomes_single:
        if not (op.force and node.uuid == master.uuid):
            raise errors.BadInput(
                "Whether nodes have a second address is the same for all: changing it requires the"
                " --force option, and begins with the master"
            )
        context.warn(
            "Transitioning from single-homed to multi-homed cluster; all nodes will require a"
            " secondary IP address"
            if is_single
            else "Transitioning from multi-homed to single-homed cluster; secondary IP addresses"
            " will have to be removed"
        )
    affected = _mirrored(snapshot, node)
    if node.offline:
        if affected:
            names = ", ".join(one.name for one in affected)
            raise errors.BadInput(
                "Cannot change secondary IP address: offline node has instances"
                f" ({names}) configured to use it",
                "wrong_state",
            )
        return
    if up := [one.name for one in affected if one.admin_state == "up"]:
        raise errors.BadInput(
            f"Instance {up[0]} is marked to be up, cannot change secondary ip", "wrong_state"
        )
    await _check_has(context, node, wanted)
    if node.uuid != master.uuid and not await _is_reached(wanted, master.secondary_ip):
        raise errors.BadInput(
            "Node secondary ip not reachable by TCP based ping to node daemon port",
            "environment_error",
        )


async def _check_has(context: contexts.Context, node: Node, address: str) -> None:
    try:
        has = await context.nodes.call(node, "node_has_ip_address", address)
    except errors.Failure as error:
        raise errors.BadInput(
            f"Failure checking secondary ip on node {node.name}: {error}", "environment_error"
        ) from error
    if not has:
        raise errors.BadInput(
            f"Node claims it doesn't have the secondary ip you gave ({address}), please fix and"
            " re-run this command",
            "environment_error",
        )


async def _is_reached(address: str, source: str) -> bool:
    try:
        async with asyncio.timeout(_CONNECT):
            _, writer = await asyncio.open_connection(address, noderpc.PORT, local_addr=(source, 0))
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _told(op: opcodes.NodeSetParams, plan: Plan) -> Pairs:
    told = [
        (name, str(value))
        for name in ("master_capable", "vm_capable")
        if (value := getattr(op, name)) is not None
    ]
    if op.secondary_ip:
        told.append(("secondary_ip", op.secondary_ip))
    before, after = plan.before.flags, plan.role.flags
    return told + [(name, str(after[name])) for name in after if after[name] != before[name]]


OPERATION = SetParams()
