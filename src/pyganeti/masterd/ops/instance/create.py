"""OP_INSTANCE_CREATE: a new instance, its disks, what is on them, and its first start.

It is in the configuration before anything of it is on a node. So whatever is left when the daemon
is killed in between belongs to an instance that is known, and ``gnt-instance remove`` takes it
away. What fails is undone: the disks go, then the instance; only if they cannot be removed it
stays. From its start on it is whole, and stays whatever comes of the start.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pyganeti.base import errors, services
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import (
    adopting,
    checks,
    hookenv,
    installing,
    locking,
    making,
    marking,
    naming,
    newinstance,
    parameters,
    placing,
    policy,
    requesting,
    starting,
)
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template
from pyganeti.model.opcodes import instance as opcodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is made, as it was rehearsed."""

    asked: newinstance.Request
    instance: Instance
    snapshot: Snapshot
    """The configuration with the instance in it, of the rehearsal."""

    starts: bool
    secret: Mapping[str, Any]
    """OS parameters that nobody keeps."""


class Create(operation.Operation[opcodes.InstanceCreate, Plan]):
    """Creates an instance; answers the names of its nodes."""

    opcode = opcodes.InstanceCreate

    def locks(self, op: opcodes.InstanceCreate, snapshot: Snapshot) -> levels.Wanted:
        """Have its name, and its node kept as it is; else all nodes, and placing to oneself."""
        name = naming.normalized(op.instance_name)
        return locking.to_create(snapshot, [name], requesting.node_of(snapshot, op))

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceCreate) -> Plan:
        """Check everything, choose the node, and rehearse."""
        requesting.refuse_unknown(op)
        if op.snode or op.snode_uuid:
            context.warn("Secondary node will be ignored on non-mirrored disk template")
        name, address = await self._name(context, op)
        _check_new(context.snapshot, name)
        asked = requesting.of(context.snapshot, op, name, address)
        backend = filling.backend(context.snapshot.cluster, asked.beparams)
        node = requesting.node_of(context.snapshot, op)
        if node is None:
            chosen = await placing.choose(
                context,
                [placing.wanted(asked, backend, op.group_name)],
                op.iallocator,
                ignore_policy=op.ignore_ipolicy,
            )
            node = context.snapshot.node(chosen[0])
            asked = dataclasses.replace(asked, node=node.uuid)
        elif op.iallocator:
            raise errors.BadInput("Do not specify both, iallocator and node")
        else:
            asked = dataclasses.replace(asked, node=node.uuid)
        checks.usable(node)
        _check_group(context.snapshot, node, op.group_name)
        _check_storage(context.snapshot, node, asked.template)
        if asked.adopts:
            sized = await adopting.measured(context, node, asked.template, asked.disks)
            asked = dataclasses.replace(asked, disks=sized)
        changed = draft.Draft(context.snapshot, context.services.now())
        instance, asked = newinstance.rehearse(changed, asked, context.services.new_uuid)
        plan = Plan(
            asked=asked,
            instance=instance,
            snapshot=changed.snapshot,
            starts=op.start and not op.no_install,
            secret=op.osparams_secret or {},
        )
        if not op.ignore_ipolicy:
            _check_policy(plan, node)
        await self._check_on_node(context, op, plan, node)
        return plan

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceCreate, plan: Plan
    ) -> operation.Hooks:
        """Run on the master and the instance's node, which hear of it as it will be."""
        del context
        disks = [
            msgspec.structs.replace(disk, logical_id=(), uuid=None)
            for disk in plan.snapshot.disks_of(plan.instance)
        ]
        environment = {
            "ADD_MODE": op.mode,
            **hookenv.of(plan.snapshot, plan.instance, disks=disks, status=plan.starts),
        }
        if not disks:
            environment["INSTANCE_DISK_TEMPLATE"] = plan.asked.template.value
        return hookenv.around(plan.snapshot, "instance-add", plan.instance, environment)

    def dry_result(self, op: opcodes.InstanceCreate, plan: Plan) -> list[str]:
        """Answer the node that it would be on."""
        del op
        return [plan.snapshot.nodes[plan.asked.node].name]

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceCreate, plan: Plan
    ) -> list[str]:
        """Record it, make its disks, have its OS installed, start it."""
        context.say(f"adding instance {plan.asked.name} to cluster config")
        instance = await context.change(
            lambda changed: newinstance.record(changed, plan.asked, context.services.new_uuid)
        )
        context.held.narrow(locking.created(instance))
        try:
            await self._fill(context, op, plan, instance)
        except errors.Failure as error:
            await _undo(context, plan, instance, error)
            raise
        if plan.starts and plan.asked.adopts:
            context.say("* starting instance...")
            await starting.start(context, await marking.up(context, instance.uuid))
        elif plan.starts:
            await starting.first(context, instance)
        return [context.snapshot.nodes[instance.primary_node].name]

    async def _name(
        self, context: contexts.Context, op: opcodes.InstanceCreate
    ) -> tuple[str, str | None]:
        """Return the instance's name and address; its name is locked, whatever it is in full."""
        name = naming.normalized(op.instance_name)
        if not op.name_check:
            if op.ip_check:
                raise errors.BadInput("Cannot do IP address check without a name check")
            return name, None
        found = await naming.resolve(name)
        if found.name != name:
            context.info(f"Resolved given name '{name}' to '{found.name}'")
            snapshot = context.snapshot
            await context.held.exchange(
                locking.whole(
                    locking.to_create(
                        snapshot, [name, found.name], requesting.node_of(snapshot, op)
                    )
                )
            )
        if op.ip_check and await naming.is_answering(found.address, services.port("ganeti-noded")):
            raise errors.BadInput(
                f"IP {found.address} of instance {found.name} already in use",
                "resource_not_unique",
            )
        return found.name, found.address

    async def _check_on_node(
        self, context: contexts.Context, op: opcodes.InstanceCreate, plan: Plan, node: Node
    ) -> None:
        """Have the node check what it will be told."""
        cluster, instance = plan.snapshot.cluster, plan.instance
        filled = filling.hypervisor_of(cluster, instance)
        await parameters.check_on_nodes(context, instance.hypervisor, filled, [node])
        if instance.os:
            await parameters.check_os(
                context,
                instance.os,
                filling.operating_system(
                    cluster, instance.os, instance.osparams, instance.osparams_private, plan.secret
                ),
                [node],
                force_variant=op.force_variant,
            )
        await checks.bridges(context, plan.snapshot, instance, node)
        if plan.asked.template is Template.PLAIN and not plan.asked.adopts:
            await checks.volumes(context, plan.snapshot, node, _volumes(plan))
        if plan.asked.template is Template.EXT:
            disks = plan.snapshot.disks_of(instance)
            await checks.providers(context, node, [disk.params for disk in disks])
        if plan.starts:
            backend = filling.backend(cluster, instance.beparams)
            await checks.memory(
                context,
                plan.snapshot,
                node,
                instance.hypervisor,
                backend["maxmem"],
                f"creating instance {instance.name}",
            )

    async def _fill(
        self,
        context: contexts.Context,
        op: opcodes.InstanceCreate,
        plan: Plan,
        instance: Instance,
    ) -> None:
        """Make the disks and put on them what is to be there. Raises Failure."""
        disks = context.snapshot.disks_of(instance)
        if not plan.asked.adopts:
            context.say("* creating instance disks...")
            await making.create(context, instance, disks)
            if context.snapshot.cluster.prealloc_wipe_disks:
                context.say("* wiping instance disks...")
                await making.wipe(context, instance, disks)
        await making.check(context, instance, disks)
        if instance.os:
            await installing.check(context, instance)
            if disks and not plan.asked.adopts and not op.no_install:
                await installing.install(
                    context, instance, secret=plan.secret, debug=op.debug_level or 0
                )
        await installing.tell_metadata(context, instance, secret=plan.secret)


def _check_new(snapshot: Snapshot, name: str) -> None:
    if any(instance.name == name for instance in snapshot.instances.values()):
        raise errors.BadInput(f"Instance '{name}' is already in the cluster", "already_exists")


def _check_group(snapshot: Snapshot, node: Node, named: str | None) -> None:
    if named and snapshot.group(named).uuid != node.group:
        raise errors.BadInput(f"node {node.name} is not in group {named}")


def _check_storage(snapshot: Snapshot, node: Node, template: Template) -> None:
    filled = filling.node(snapshot.cluster, snapshot.group_of(node), node)
    if filled.get("exclusive_storage") and template is not Template.PLAIN:
        raise errors.BadInput(
            f"Disk template {template} not supported with exclusive storage", "wrong_state"
        )


def _check_policy(plan: Plan, node: Node) -> None:
    snapshot = plan.snapshot
    group = snapshot.group_of(node)
    backend = filling.backend(snapshot.cluster, plan.instance.beparams)
    policy.check(
        filling.policy(snapshot.cluster, group),
        policy.Spec(
            memory=backend["maxmem"],
            vcpus=backend["vcpus"],
            spindle_use=backend["spindle_use"],
            disks=[disk.size for disk in snapshot.disks_of(plan.instance)],
            nics=len(plan.instance.nics),
            template=plan.asked.template.value,
        ),
        f"group {group.uuid} ({group.name})",
    )


def _volumes(plan: Plan) -> dict[str, int]:
    """Return how much the disks take of each volume group, in MiB."""
    taken: dict[str, int] = {}
    for disk in plan.snapshot.disks_of(plan.instance):
        group = str(disk.logical_id[0])
        taken[group] = taken.get(group, 0) + disk.size
    return taken


async def _undo(
    context: contexts.Context, plan: Plan, instance: Instance, why: errors.Failure
) -> None:
    """Take away what there is of an instance that came to nothing."""
    disks = () if plan.asked.adopts else context.snapshot.disks_of(instance)
    begun = why.begun if isinstance(why, making.NotMade) else disks
    unmade = [disk for disk in disks if disk not in begun]
    if not await making.remove(context, instance, disks, unmade=unmade):
        context.warn(
            f"Not all disks of {instance.name} could be removed, so it stays in the"
            f" configuration: 'gnt-instance remove {instance.name}' takes it away"
        )
        return
    await context.change(
        lambda changed: changed.remove_instance(changed.snapshot.instances[instance.uuid])
    )


OPERATION = Create()
