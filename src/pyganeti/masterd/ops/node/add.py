"""OP_NODE_ADD: take a machine in whose node daemon runs, or take a node in again.

In one change of the configuration the node is there, with its role and the certificate that goes
with it. What comes after that, for it to be like the others (files, kvmd), is warned of when it
fails, and can be had again: the files by `gnt-cluster redist-conf`.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import ancillary, operation
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.node import ensuring, joined, promoting, statics
from pyganeti.model.config import candidates
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node as opcodes

_SPREADING: Final = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The node as it will be."""

    node: Node
    certificate: str
    """The digest of the one with which it calls others."""


class Add(operation.Operation[opcodes.NodeAdd, Plan]):
    """Adds a node, or its readding."""

    opcode = opcodes.NodeAdd

    def locks(self, op: opcodes.NodeAdd, snapshot: Snapshot) -> levels.Wanted:
        """Have the cluster alone."""
        return {levels.Level.CLUSTER: levels.exclusive({levels.BIG})}

    async def prepare(self, context: contexts.Context, op: opcodes.NodeAdd) -> Plan:
        """Check that the machine can be a node."""
        snapshot = context.snapshot
        if op.readd and op.group:
            raise errors.BadInput("Cannot pass a node group when a node is being readded")
        host = await joined.resolve(snapshot, op)
        existing = next((node for node in snapshot.nodes.values() if node.name == host.name), None)
        if existing is None and op.readd:
            raise errors.BadInput(f"Node {host.name} is not in the configuration", "unknown_entity")
        if existing is not None and not op.readd:
            raise errors.BadInput(
                f"Node {host.name} is already in the configuration", "already_exists"
            )
        if existing is not None and existing.uuid == snapshot.cluster.master_node:
            raise errors.BadInput("Cannot readd the master node", "wrong_state")
        secondary = joined.secondary(snapshot, op, host.address)
        joined.check_addresses(snapshot, host.name, host.address, secondary)
        if existing is None:
            node = _new(context, op, host.name, host.address, secondary)
        else:
            node = _again(snapshot, op, existing, host.address, secondary)
        node = msgspec.structs.replace(
            node,
            ndparams=joined.params(op),
            master_candidate=node.master_capable and _needs_one_more(snapshot, existing),
        )
        if op.hv_state:
            static = statics.hypervisors(op.hv_state, {})
            node = msgspec.structs.replace(node, hv_state_static=static)
        if op.disk_state:
            node = msgspec.structs.replace(
                node, disk_state_static=statics.storage(op.disk_state, {})
            )
        await joined.check_daemon(context, node)
        await joined.check_volumes(context, node)
        return Plan(node, await promoting.certificate_of(context, node))

    def hooks(self, context: contexts.Context, op: opcodes.NodeAdd, plan: Plan) -> operation.Hooks:
        """Run on all nodes but the new one."""
        node = plan.node
        others = [uuid for uuid in context.snapshot.nodes if uuid != node.uuid]
        return operation.Hooks(
            path="node-add",
            kind="NODE",
            environment={
                "OP_TARGET": node.name,
                "NODE_NAME": node.name,
                "NODE_PIP": node.primary_ip,
                "NODE_SIP": node.secondary_ip,
                "MASTER_CAPABLE": node.master_capable,
                "VM_CAPABLE": node.vm_capable,
            },
            before=others,
            after=[*others, node.uuid],
        )

    async def execute(self, context: contexts.Context, op: opcodes.NodeAdd, plan: Plan) -> None:
        """Take it in, and make it like the others."""
        node = plan.node
        if op.readd:
            context.info("Readding a node, the offline/drained flags were reset")
        if node.master_candidate:
            context.info("Node will be a master candidate")
        if op.node_setup:
            context.warn("the nodes' ssh keys are left as they are: nothing here needs them")
        cluster = context.snapshot.cluster
        if cluster.modify_etc_hosts:
            await context.nodes.call(
                context.snapshot.master, "etc_hosts_modify", "add", node.name, node.primary_ip
            )
        await joined.check_secondary(context, node)
        await ensuring.switch(context, node)
        await context.change(lambda changed: _take_in(changed, plan))
        # It has to know who may call it before it is asked for more.
        for name in await context.config.distributed(timeout=_SPREADING):
            context.warn(f"{name} does not have the changed configuration yet")
        if op.readd and not node.master_candidate:
            await _demote(context, node)
        await ancillary.distribute(
            context,
            context.snapshot.nodes.values() if op.readd or cluster.modify_etc_hosts else [node],
        )
        await ensuring.kvmd(context, node)


def _new(
    context: contexts.Context, op: opcodes.NodeAdd, name: str, primary: str, secondary: str
) -> Node:
    snapshot = context.snapshot
    if op.group is not None:
        group = snapshot.group(op.group).uuid
    elif len(snapshot.groups) == 1:
        [group] = snapshot.groups
    else:
        raise errors.BadInput("there are several node groups: say which one with --node-group")
    return Node(
        uuid=context.services.new_uuid(),
        name=name,
        primary_ip=primary,
        secondary_ip=secondary,
        group=group,
        master_capable=op.master_capable is not False,
        vm_capable=op.vm_capable is not False,
    )


def _again(
    snapshot: Snapshot, op: opcodes.NodeAdd, existing: Node, primary: str, secondary: str
) -> Node:
    if existing.secondary_ip not in {secondary, existing.primary_ip}:
        raise errors.BadInput(
            "Readded node doesn't have the same IP address configuration as before"
        )
    vm_capable = existing.vm_capable if op.vm_capable is None else op.vm_capable
    if not vm_capable and (snapshot.instances_on(existing) or snapshot.secondaries_on(existing)):
        raise errors.BadInput(
            f"Node {existing.name} being re-added with vm_capable flag set to false, but it already"
            " holds instances",
            "wrong_state",
        )
    return msgspec.structs.replace(
        existing,
        primary_ip=primary,
        secondary_ip=secondary,
        offline=False,
        drained=False,
        powered=True,
        master_capable=existing.master_capable if op.master_capable is None else op.master_capable,
        vm_capable=vm_capable,
    )


def _needs_one_more(snapshot: Snapshot, existing: Node | None) -> bool:
    """Return whether there is room for another candidate, were the node not one."""
    counted = candidates.count(snapshot, () if existing is None else {existing.uuid})
    return counted.present < min(counted.possible + 1, snapshot.cluster.candidate_pool_size)


def _take_in(changed: draft.Draft, plan: Plan) -> None:
    node = plan.node
    present = changed.snapshot.nodes.get(node.uuid)
    if present is not None:
        node = msgspec.structs.replace(node, serial_no=present.serial_no, tags=present.tags)
    changed.put(node)
    certificates = dict(changed.cluster.candidate_certs)
    certificates.pop(node.uuid, None)
    if node.master_candidate:
        certificates[node.uuid] = plan.certificate
    changed.put(msgspec.structs.replace(changed.cluster, candidate_certs=certificates))


async def _demote(context: contexts.Context, node: Node) -> None:
    """Have a node that was a candidate put its old copy of the configuration away."""
    try:
        await context.nodes.call(node, "node_demote_from_mc")
    except errors.Failure as error:
        context.warn(f"Node failed to demote itself from master candidate status: {error}")


OPERATION = Add()
