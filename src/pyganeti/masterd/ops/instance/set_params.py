"""OP_INSTANCE_SET_PARAMS: an instance is changed: parameters, devices, where and whether it lives.

Most of it holds from the next start on. Devices come to a running guest, or leave it, at once where
its node can do that and it is asked for; and so does memory, by its balloon.

In the configuration everything but the disks changes in one edit. A card that goes leaves the guest
before, one that comes does so after: who is cut short in between finds a guest with no more than
the configuration has, and the next start makes them the same.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import (
    changeddisks,
    changednics,
    changedparams,
    checks,
    converting,
    hookenv,
    installing,
    locking,
    marking,
    modifications,
    plugging,
    policy,
)
from pyganeti.masterd.ops.instance.modifications import Change
from pyganeti.model.config import filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template
from pyganeti.model.opcodes import instance as opcodes

_HOT: Final = {"add": "hotadd", "modify": "hotmod", "remove": "hotremove"}

Words = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done. ``instance`` is as it was, ``after`` as it will be but for its disks."""

    instance: Instance
    after: Instance
    params: changedparams.Plan
    nics: changednics.Plan
    disks: Sequence[changeddisks.Step]
    converted: Sequence[Disk]
    plugs: bool
    """Devices are changed in the running guest, too."""


class SetParams(operation.Operation[opcodes.InstanceSetParams, Plan]):
    """Changes an instance; answers what is different, and how it is now."""

    opcode = opcodes.InstanceSetParams

    def locks(self, op: opcodes.InstanceSetParams, snapshot: Snapshot) -> levels.Wanted:
        """Have the instance alone, and its nodes, and a new one, kept as they are."""
        wanted = dict(locking.with_nodes(snapshot, op))
        node = _new_primary(snapshot, op)
        if node is not None:
            nodes = [one.uuid for one in snapshot.nodes_of(locking.find(snapshot, op))]
            wanted[levels.Level.NODE] = levels.shared([*nodes, node.uuid])
        return wanted

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceSetParams) -> Plan:
        """Check that there is something to change, and each change."""
        snapshot = context.snapshot
        instance = locking.find(snapshot, op)
        _check_asked(op)
        nics = modifications.parse("NIC", op.nics)
        disks = modifications.parse("disk", op.disks)
        await _check_move(context, instance, op)
        if op.offline is not None:
            checks.state(instance, {"down", "offline"})
        plugs = (
            (op.hotplug or op.hotplug_if_possible)
            and bool(nics or disks)
            and changeddisks.is_running(instance)
            and await plugging.is_possible(context, instance, is_demanded=op.hotplug)
        )
        params = await changedparams.plan(context, instance, op)
        plan = _planned(context, instance, op, nics, disks, params, plugs=plugs)
        await changedparams.check_memory(context, instance, op, params)
        await changedparams.check_balloon(context, instance, op, params)
        await _check_bridges(context, plan, op)
        if not op.ignore_ipolicy:
            _check_policy(snapshot, plan)
        return plan

    def hooks(
        self, context: contexts.Context, op: opcodes.InstanceSetParams, plan: Plan
    ) -> operation.Hooks:
        """Run on the master and the instance's nodes, which hear of it as it will be."""
        environment = hookenv.of(context.snapshot, plan.after)
        return self._hooks(context, op, plan, environment)

    def hooks_after(
        self, context: contexts.Context, op: opcodes.InstanceSetParams, plan: Plan
    ) -> operation.Hooks:
        """Tell of it as it is then."""
        instance = context.snapshot.instances[plan.instance.uuid]
        return self._hooks(context, op, plan, hookenv.of(context.snapshot, instance))

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceSetParams, plan: Plan
    ) -> Words:
        """Change memory, disks, and all that is in the configuration alone."""
        uuid = plan.instance.uuid
        words: Words = []
        if op.runtime_mem is not None:
            await _balloon(context, plan.instance, op.runtime_mem)
            words.append(("runtime_memory", op.runtime_mem))
        words += await changeddisks.carry_out(
            context, uuid, plan.disks, plugs=plan.plugs, force=op.force
        )
        if plan.converted:
            instance = context.snapshot.instances[uuid]
            words += await converting.carry_out(context, instance, plan.converted)
        words += await self._nics(context, plan)
        words += _parameters(op)
        if op.offline is not None:
            mark = marking.offline if op.offline else marking.down
            instance = await mark(context, uuid)
            words.append(("admin_state", instance.admin_state))
        instance = context.snapshot.instances[uuid]
        node = context.snapshot.nodes[instance.primary_node]
        if not node.offline:
            await installing.tell_metadata(context, instance, secret={})
        return words

    async def _nics(self, context: contexts.Context, plan: Plan) -> Words:
        """Put the new parameters and cards into the configuration, and cards into the guest."""
        said: dict[int, str] = {}
        instance = plan.instance

        async def plug(number: int, step: changednics.Step) -> None:
            if plan.plugs:
                action: Any = _HOT[step.action]
                said[number] = await plugging.change_nic(
                    context, instance, action, step.nic, step.place
                )

        for number, step in enumerate(plan.nics.steps):
            if step.action == "remove":
                await plug(number, step)
        await context.change(lambda changed: _settle(changed, plan))
        for number, step in enumerate(plan.nics.steps):
            if step.action != "remove":
                await plug(number, step)
        words: Words = []
        for number, step in enumerate(plan.nics.steps):
            words += step.words
            if number in said:
                is_there = step.action == "modify"
                words.append((f"nic/{step.place}" if is_there else step.words[0][0], said[number]))
        return words

    def _hooks(
        self,
        context: contexts.Context,
        op: opcodes.InstanceSetParams,
        plan: Plan,
        environment: dict[str, object],
    ) -> operation.Hooks:
        if op.disk_template:
            environment["NEW_DISK_TEMPLATE"] = op.disk_template
        if op.runtime_mem:
            environment["RUNTIME_MEMORY"] = op.runtime_mem
        return hookenv.around(context.snapshot, "instance-modify", plan.instance, environment)


def _check_asked(op: opcodes.InstanceSetParams) -> None:
    """Raise BadInput unless something is to change, and what is asked for goes together."""
    changes = (
        op.nics, op.disks, op.disk_template, op.hvparams, op.beparams, op.os_name, op.osparams,
        op.osparams_private, op.runtime_mem, op.pnode, op.pnode_uuid,
    )  # fmt: skip
    if not any(changes) and op.offline is None and op.instance_communication is None:
        raise errors.BadInput("No changes submitted")
    if op.instance_communication:
        raise errors.BadInput("instance communication cannot be had from this master daemon yet")
    if op.disk_template and op.disks:
        raise errors.BadInput(
            "Disk template conversion and other disk changes not supported at the same time"
        )
    if (op.pnode or op.pnode_uuid) and (op.disks or op.disk_template or op.runtime_mem):
        raise errors.BadInput(
            "a new primary node, and changes of disks or of the memory a guest has now, are for"
            " two commands, one after the other"
        )
    if op.remote_node or op.remote_node_uuid or op.iallocator:
        raise errors.BadInput(
            "secondary nodes (no disk template here has any) cannot be had from this master"
            " daemon yet"
        )


def _new_primary(snapshot: Snapshot, op: opcodes.InstanceSetParams) -> Node | None:
    wanted = op.pnode_uuid or op.pnode
    return snapshot.node(wanted) if wanted else None


async def _check_move(
    context: contexts.Context, instance: Instance, op: opcodes.InstanceSetParams
) -> None:
    """Check that an instance which gets another primary node runs nowhere; raises BadInput."""
    snapshot = context.snapshot
    node = _new_primary(snapshot, op)
    if node is None or node.uuid == instance.primary_node or op.force:
        return
    if not node.vm_capable:
        raise errors.BadInput(f"Can't use non-vm_capable node {node.name}", "wrong_state")
    old = snapshot.nodes[instance.primary_node]
    try:
        said = await checks.running(context, snapshot, instance, old)
    except errors.BadInput as error:
        context.warn(f"Can't get instance runtime information: {error}")
        return
    if said is not None:
        raise errors.BadInput(f"Instance is still running on {old.name}", "wrong_state")


def _planned(
    context: contexts.Context,
    instance: Instance,
    op: opcodes.InstanceSetParams,
    nics: Sequence[Change],
    disks: Sequence[Change],
    params: changedparams.Plan,
    *,
    plugs: bool,
) -> Plan:
    """Plan devices in a draft that is thrown away."""
    services, snapshot = context.services, context.snapshot
    changed = draft.Draft(snapshot, services.now())
    node = _new_primary(snapshot, op) or snapshot.nodes[instance.primary_node]
    cards = changednics.plan(
        changed, snapshot.group_of(node), instance, nics,
        new_uuid=services.new_uuid, conflicts=op.conflicts_check,
    )  # fmt: skip
    steps = changeddisks.plan(
        snapshot,
        instance,
        disks,
        changeddisks.Asked(
            directory=op.file_storage_dir,
            driver=op.file_driver,
            new_uuid=services.new_uuid,
            plugs=plugs,
        ),
    )
    converted: Sequence[Disk] = ()
    if op.disk_template:
        converted = converting.plan(
            snapshot,
            instance,
            converting.Asked(
                template=Template(op.disk_template),
                provider=op.ext_params,
                directory=op.file_storage_dir,
                driver=op.file_driver,
                new_uuid=services.new_uuid,
            ),
        )
    after = msgspec.structs.replace(
        instance,
        primary_node=node.uuid,
        nics=cards.nics,
        hvparams=params.hvparams,
        beparams=params.beparams,
        osparams=params.osparams,
        osparams_private=params.osparams_private,
        os=op.os_name or instance.os,
    )
    return Plan(
        instance=instance,
        after=after,
        params=params,
        nics=cards,
        disks=steps,
        converted=converted,
        plugs=plugs,
    )


def _settle(changed: draft.Draft, plan: Plan) -> Instance:
    """Put an instance into a draft as it is planned; its disks and admin state stay."""
    there = changed.snapshot.instances[plan.instance.uuid]
    after = plan.after
    if after.primary_node != there.primary_node:
        for disk in changed.snapshot.disks_of(there):
            if disk.nodes and not disk.is_mirrored:
                changed.put(msgspec.structs.replace(disk, nodes=(after.primary_node,)))
    return changed.put(
        msgspec.structs.replace(
            there,
            primary_node=after.primary_node,
            nics=changednics.settle(changed, plan.nics),
            hvparams=after.hvparams,
            beparams=after.beparams,
            osparams=after.osparams,
            osparams_private=after.osparams_private,
            os=after.os,
        )
    )


async def _balloon(context: contexts.Context, instance: Instance, mebibytes: int) -> None:
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    told = rpcargs.instance_for_node(snapshot, instance)
    try:
        await context.nodes.call(node, "instance_balloon_memory", told, mebibytes)
    except errors.Failure as error:
        raise errors.Failure(f"Cannot modify instance runtime memory: {error}") from error


async def _check_bridges(
    context: contexts.Context, plan: Plan, op: opcodes.InstanceSetParams
) -> None:
    """Check that the node has the bridges of cards that come or change."""
    snapshot = context.snapshot
    wanted = plan.nics.bridges(lambda nic: filling.nic(snapshot.cluster, nic.nicparams))
    if not wanted:
        return
    node = snapshot.nodes[plan.after.primary_node]
    try:
        await context.nodes.call(node, "bridges_exist", wanted)
    except errors.Failure as error:
        text = f"Error checking bridges on node '{node.name}': {error}"
        if not op.force:
            raise errors.BadInput(text, "environment_error") from error
        context.warn(text)


def _check_policy(snapshot: Snapshot, plan: Plan) -> None:
    """Raise BadInput for what the group's policy forbids, and was not so before."""
    node = snapshot.nodes[plan.after.primary_node]
    group = snapshot.group_of(node)
    rules = filling.policy(snapshot.cluster, group)
    before = policy.of(snapshot, plan.instance)
    sizes = [step.disk.size for step in plan.disks if step.action in {"add", "attach"}]
    gone = [step.disk.uuid for step in plan.disks if step.action in {"remove", "detach"}]
    kept = [disk for disk in snapshot.disks_of(plan.instance) if disk.uuid not in gone]
    backend = filling.backend(snapshot.cluster, plan.after.beparams)
    template = before.template
    if plan.converted:
        template = plan.converted[0].dev_type.value
    elif not snapshot.disks_of(plan.instance) and sizes:
        template = next(step.disk.dev_type.value for step in plan.disks if step.action != "modify")
    after = dataclasses.replace(
        before,
        vcpus=backend["vcpus"],
        spindle_use=backend["spindle_use"],
        disks=[*(disk.size for disk in kept), *sizes],
        nics=len(plan.after.nics),
        template=template,
    )
    known = _violations(rules, before, filling.backend(snapshot.cluster, plan.instance.beparams))
    found = _violations(rules, after, backend)
    new = [one for one in found if one not in known]
    if new:
        raise errors.BadInput(
            f"Instance allocation to group {group.uuid} ({group.name}) violates policy:"
            f" {'; '.join(new)} (--ignore-ipolicy allows it)"
        )


def _violations(
    rules: Mapping[str, Any], spec: policy.Spec, backend: Mapping[str, Any]
) -> list[str]:
    """Return what is wrong with an instance with its most memory, and with its least."""
    found: dict[str, None] = {}
    for memory in (backend["maxmem"], backend["minmem"]):
        found |= dict.fromkeys(policy.violations(rules, dataclasses.replace(spec, memory=memory)))
    return list(found)


def _parameters(op: opcodes.InstanceSetParams) -> Words:
    """Return what was done with parameters, as it was asked for; nothing private."""
    words: Words = []
    if op.pnode or op.pnode_uuid:
        words.append(("primary_node", op.pnode or op.pnode_uuid))
    words += [(f"hv/{key}", value) for key, value in op.hvparams.items()]
    words += [(f"be/{key}", value) for key, value in op.beparams.items()]
    if op.os_name:
        words.append(("os", op.os_name))
    words += [(f"os/{key}", value) for key, value in op.osparams.items()]
    words += [(f"os_private/{key}", "<redacted>") for key in op.osparams_private or {}]
    return words


OPERATION = SetParams()
