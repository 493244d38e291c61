"""What has to be so before the cluster's settings change. Raises BadInput where it is not."""

from pathlib import Path
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.allocation import builtin
from pyganeti.masterd.config import findings
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import parameters
from pyganeti.masterd.ops.instance import policy as policies
from pyganeti.model import hvparams
from pyganeti.model.config import filling
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster as opcodes

_SMALLEST_GROUP: Final = 20480
_LVM: Final = frozenset({"drbd", "plain"})
_ALLOCATORS: Final = (
    "/etc/ganeti/iallocators",
    "/usr/local/lib/ganeti/iallocators",
    "/usr/lib/ganeti/iallocators",
)


def sound(snapshot: Snapshot, after: Cluster) -> None:
    """Check that the cluster would have nothing wrong that it has not already."""
    known = {found.key for found in findings.of_cluster(snapshot, snapshot.cluster)}
    changed = msgspec.structs.replace(snapshot, cluster=after)
    wrong = [one for one in findings.of_cluster(changed, after) if one.key not in known]
    if wrong:
        raise errors.BadInput("; ".join(found.text for found in wrong), wrong[0].code)


def feasible(snapshot: Snapshot, op: opcodes.ClusterSetParams, after: Cluster) -> None:
    """Check that nothing is asked for that nodes do not have, or that is not there."""
    if "drbd" in set(after.enabled_disk_templates) - set(snapshot.cluster.enabled_disk_templates):
        raise errors.BadInput("node daemons have no DRBD: the template drbd cannot be enabled")
    if op.instance_communication_network:
        snapshot.network(op.instance_communication_network)


def in_use(snapshot: Snapshot, before: Cluster, after: Cluster) -> None:
    """Check that no disk template or hypervisor is taken away from instances that have it."""
    gone = set(before.enabled_disk_templates) - set(after.enabled_disk_templates)
    for disk in snapshot.disks.values():
        if disk.dev_type.value in gone:
            owner = snapshot.instance_of(disk)
            where = f"on {owner.name}" if owner else "detached"
            raise errors.BadInput(
                f"Cannot disable disk template '{disk.dev_type.value}', because there is at least"
                f" one disk using it: {disk.uuid} ({where})",
                "wrong_state",
            )
    lost = set(before.enabled_hypervisors) - set(after.enabled_hypervisors)
    for one in snapshot.instances.values():
        if "diskless" in gone and not one.disks and not one.forthcoming:
            raise errors.BadInput(
                "Cannot disable disk template 'diskless', because there is at least one instance"
                f" using it: {one.name}",
                "wrong_state",
            )
        if one.hypervisor in lost:
            raise errors.BadInput(
                f"Cannot disable hypervisor '{one.hypervisor}': {one.name} runs on it",
                "wrong_state",
            )


def policy(context: contexts.Context, snapshot: Snapshot, after: Cluster) -> None:
    """Check the policy's templates, and tell which instances are not like it any more."""
    allowed = filling.policy(after)["disk-templates"]
    if extra := sorted(set(allowed) - set(after.enabled_disk_templates)):
        raise errors.BadInput(
            "The following disk templates are allowed by the ipolicy, but not enabled on the"
            f" cluster: {', '.join(extra)}"
        )
    found = []
    for one in snapshot.instances.values():
        node = snapshot.nodes.get(one.primary_node)
        if node is None or one.forthcoming:
            continue
        group = snapshot.group_of(node)
        changed = msgspec.structs.replace(snapshot, cluster=after)
        is_new = policies.violations(filling.policy(after, group), policies.of(changed, one))
        was = policies.violations(
            filling.policy(snapshot.cluster, group), policies.of(snapshot, one)
        )
        if is_new and not was:
            found.append(one.name)
    if found:
        context.warn(
            "After the ipolicy change the following instances violate them:"
            f" {', '.join(sorted(found))}"
        )


def cards(snapshot: Snapshot, after: Cluster) -> None:
    """Check that every card can be as it would have to be."""
    if after.nicparams == snapshot.cluster.nicparams:
        return
    wrong = []
    for one in snapshot.instances.values():
        for place, nic in enumerate(one.nics):
            filled = filling.nic(after, nic.nicparams)
            if filled["mode"] == "routed" and not nic.ip:
                wrong.append(f"Instance {one.name}, nic/{place}: routed NIC with no ip address")
            if filled["mode"] == "bridged" and not filled["link"]:
                wrong.append(f"Instance {one.name}, nic/{place}: Missing bridged NIC link")
    if wrong:
        raise errors.BadInput(f"Cannot apply the change, errors: {'; '.join(wrong)}")


def allocator(context: contexts.Context, op: opcodes.ClusterSetParams) -> None:
    """Check that the default allocator is there."""
    name = op.default_iallocator
    if not name or name == builtin.NAME:
        return
    places = [context.layout.localize(place) / name for place in _ALLOCATORS]
    if "/" in name or not any(Path(place).is_file() for place in places):
        raise errors.BadInput(f"Invalid default iallocator script '{name}' specified")


async def volume_group(context: contexts.Context, before: Cluster, after: Cluster) -> None:
    """Check that nodes have the volume group, where it or what needs it is new."""
    group = after.volume_group_name
    is_used = bool(_LVM & set(after.enabled_disk_templates))
    was_used = bool(_LVM & set(before.enabled_disk_templates))
    if not group or not is_used or (was_used and group == before.volume_group_name):
        return
    nodes = [one for one in context.online(context.snapshot.nodes.values()) if one.vm_capable]
    answers = await context.nodes.each(nodes, "vg_list")
    for node in nodes:
        answer = answers[node.uuid]
        if answer.failed:
            context.warn(
                f"Error while gathering data on node {node.name} (ignoring node): {answer.error}"
            )
            continue
        size = answer.payload.get(group) if isinstance(answer.payload, dict) else None
        if not isinstance(size, int | float):
            raise errors.BadInput(
                f"Error on node '{node.name}': volume group '{group}' missing", "environment_error"
            )
        if size < _SMALLEST_GROUP:
            raise errors.BadInput(
                f"Error on node '{node.name}': volume group '{group}' too small"
                f" ({_SMALLEST_GROUP} MiB required, {size:.0f} MiB found)",
                "environment_error",
            )


async def hypervisors(
    context: contexts.Context, op: opcodes.ClusterSetParams, after: Cluster
) -> None:
    """Have every node say whether it can run instances with what is new."""
    concerned = {*(op.hvparams or {}), *(op.enabled_hypervisors or ())}
    sets = [(name, filling.hypervisor_of_os(after, name, "")) for name in sorted(concerned)]
    for os in op.os_hvp or {}:
        sets += [
            (name, filling.hypervisor_of_os(after, name, os)) for name in after.os_hvp.get(os, {})
        ]
    nodes = list(context.snapshot.nodes.values())
    for name, filled in sets:
        if name not in after.enabled_hypervisors:
            continue
        if name == "kvm" and (wrong := hvparams.problems(hvparams.decode(filled))):
            raise errors.BadInput("; ".join(wrong))
        await parameters.check_on_nodes(context, name, filled, nodes)


async def systems(context: contexts.Context, op: opcodes.ClusterSetParams, after: Cluster) -> None:
    """Have the master check the parameters of operating systems that it has."""
    master = context.snapshot.master
    for os in dict.fromkeys([*(op.osparams or {}), *(op.osparams_private_cluster or {})]):
        filled = filling.operating_system(after, os, {}, {})
        told: tuple[object, ...] = (False, os, ["parameters"], filled, False)
        try:
            await context.nodes.call(master, "os_validate", *told)
        except errors.Failure as error:
            raise errors.BadInput(
                f"OS Parameters validation failed on node {master.name}: {error}"
            ) from error
