"""An instance's disks moved to another template: made anew, copied, exchanged, the old removed.

The configuration has the old ones or the new ones, never some of each. Until they are exchanged
whatever fails is undone; what a killed daemon leaves are new disks that nobody knows, or old ones,
both of which ``gnt-cluster verify`` names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import checks, disks, making, newdisks
from pyganeti.model.config import filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

_TARGETS: Final = frozenset(Template) - {Template.DISKLESS, Template.BLOCK, Template.DRBD}
"""What disks can become: a block device is somebody's own, and mirrors cannot be made here yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the disks are to become."""

    template: Template
    provider: Params
    """For template ext: the provider, and parameters of its own."""

    directory: str | None
    driver: str | None
    new_uuid: Callable[[], str]


def plan(snapshot: Snapshot, instance: Instance, asked: Asked) -> list[Disk]:
    """Return the new disks, in their order; raises BadInput if it cannot be done."""
    cluster, template = snapshot.cluster, asked.template
    old = snapshot.disks_of(instance)
    present = {disk.dev_type for disk in old}
    if not old:
        raise errors.BadInput("Conversion from the 'diskless' disk template is not supported")
    if template not in _TARGETS:
        raise errors.BadInput(f"Conversion to the '{template}' disk template is not supported")
    if Template.DRBD in present:
        raise errors.BadInput("Conversion from the 'drbd' disk template is not supported yet")
    if template is not Template.EXT and present == {template}:
        raise errors.BadInput(f"Instance already has disk template {template}")
    enabled = cluster.enabled_disk_templates
    if template.value not in enabled:
        raise errors.BadInput(
            f"Disk template '{template}' is not enabled for this cluster (enabled templates:"
            f" {', '.join(enabled)})",
            "wrong_state",
        )
    if template is Template.EXT and not asked.provider.get("provider"):
        raise errors.BadInput("Missing required parameter 'provider' for template ext")
    if template is not Template.EXT and asked.provider:
        raise errors.BadInput("parameters of a provider are for disk template ext")
    checks.state(instance, {"down"})
    node = snapshot.nodes[instance.primary_node]
    checks.online(node)
    group = snapshot.group_of(node)
    filled = filling.node(cluster, group, node)
    if filled.get("exclusive_storage") and template is not Template.PLAIN:
        raise errors.BadInput(
            f"Cannot convert to disk template {template} when exclusive storage is enabled",
            "wrong_state",
        )
    wanted = [
        {"size": disk.size, "mode": disk.mode, "name": disk.name, **asked.provider} for disk in old
    ]
    return newdisks.make(
        snapshot, template, wanted,
        instance=instance.name, node=node.uuid, new_uuid=asked.new_uuid,
        directory=asked.directory, driver=asked.driver,
    )  # fmt: skip


async def carry_out(
    context: contexts.Context, instance: Instance, made: Sequence[Disk]
) -> list[tuple[str, Any]]:
    """Put an instance's disks into new ones; return what was done. Raises Failure."""
    old = context.snapshot.disks_of(instance)
    template = made[0].dev_type.value
    context.say(f"Converting disk template from '{old[0].dev_type}' to '{template}'")
    if not await disks.shut_down(context, instance):
        raise errors.Failure(
            "Cannot shutdown instance disks, unable to proceed with disk template conversion"
        )
    instance = context.snapshot.instances[instance.uuid]
    try:
        await _fill(context, instance, old, made)

        def exchange(changed: draft.Draft) -> Instance:
            there = changed.snapshot.instances[instance.uuid]
            for disk in old:
                there = changed.remove_disk(there, changed.snapshot.disks[disk.uuid or ""])
            for disk in made:
                there = changed.attach_disk(there, disk)
            return there

        instance = await context.change(exchange)
    except errors.Failure:
        context.info("The instance will not be affected, aborting operation")
        await making.remove(context, instance, made)
        raise
    context.say(f"Removing old block devices of type '{old[0].dev_type}'...")
    if not await making.remove(context, instance, old):
        context.warn("Not all of the old disks could be removed: 'gnt-cluster verify' names them")
    await disks.shut_down(context, instance)
    return [("disk_template", template)]


async def _fill(
    context: contexts.Context, instance: Instance, old: Sequence[Disk], made: Sequence[Disk]
) -> None:
    """Make the new disks, and copy onto each what the old one has."""
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    await making.create(context, instance, made)
    for index, (source, target) in enumerate(zip(old, made, strict=True)):
        context.say(
            f" - copying data from disk {index} ({source.dev_type}), size {source.size} MiB"
        )
        await context.nodes.call(
            node,
            "blockdev_convert",
            rpcargs.disk_for_node(snapshot, instance, source, node),
            rpcargs.disk_for_node(snapshot, instance, target, node),
        )
