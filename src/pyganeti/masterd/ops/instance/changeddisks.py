"""An instance's disks, changed one after the other: added, attached, modified, removed, detached.

Each change is whole before the next begins. A new disk is made first and recorded then: what is
left of one that was never recorded is an orphan, which ``gnt-cluster verify`` names. One that goes
is forgotten last: whoever was cut short asks for the same again.
"""

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import (
    checks,
    disks,
    making,
    modifications,
    newdisks,
    plugging,
)
from pyganeti.masterd.ops.instance.modifications import Action, Change
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

_KIND: Final = "disk"
_DEFAULT: Final = "default"
_MODES: Final = ("rw", "ro")
_OURS: Final = ("mode", "name")
"""What can be changed of a disk that has no parameters of its own."""

_FIXED: Final = ("access", "provider", "size", "adopt", "vg", "metavg", "spindles", "type")

Words = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One change: the disk as it is or is to be, and its place by then."""

    action: Action
    place: int
    disk: Disk
    params: Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How new disks are to be: where files are, how they are reached; how names are drawn."""

    directory: str | None
    driver: str | None
    new_uuid: Callable[[], str]
    plugs: bool
    """The guest runs, and takes disks and lets go of them."""


def plan(
    snapshot: Snapshot, instance: Instance, changes: Sequence[Change], asked: Asked
) -> list[Step]:
    """Return the steps that changes come to; raises BadInput."""
    present = list(snapshot.disks_of(instance))
    steps: list[Step] = []
    for change in changes:
        if change.action in {"add", "attach"}:
            place = modifications.coming_to(_KIND, change, present)
            if change.action == "add":
                disk = _new(snapshot, instance, present, change.params, place, asked)
            else:
                disk = _detached(snapshot, instance, present, change.params)
            present.insert(place, disk)
        else:
            place = modifications.place_of(_KIND, change, present)
            disk = present[place]
            if change.action == "modify":
                present[place] = _modified(disk, change.params)
            else:
                del present[place]
                if not asked.plugs and is_running(instance):
                    raise errors.BadInput(
                        f"can't {change.action} volume from a running instance without using"
                        " hotplug",
                        "wrong_state",
                    )
        steps.append(Step(change.action, place, disk, change.params))
    modifications.check_names(_KIND, present)
    if len(present) > newdisks.MOST:
        raise errors.BadInput(
            f"Instance has too many disks ({newdisks.MOST}), cannot add more", "wrong_state"
        )
    return steps


async def carry_out(
    context: contexts.Context,
    uuid: str,
    steps: Sequence[Step],
    *,
    plugs: bool,
    force: bool,
) -> Words:
    """Make the changes; return what was done. Raises Failure where it ends at one.

    With ``force`` a disk goes even if the guest does not let go of it.
    """
    words: Words = []
    for step in steps:
        instance = context.snapshot.instances[uuid]
        if step.action == "add":
            words += await _add(context, instance, step, plugs=plugs)
        elif step.action == "attach":
            words += await _attach(context, instance, step, plugs=plugs)
        elif step.action == "modify":
            words += await _modify(context, step)
        else:
            words += await _take(context, instance, step, plugs=plugs, force=force)
    return words


def is_running(instance: Instance) -> bool:
    """Tell whether an instance is wanted to run, so that its devices are in use."""
    return instance.admin_state == "up"


async def _add(context: contexts.Context, instance: Instance, step: Step, *, plugs: bool) -> Words:
    disk, name = step.disk, f"disk/{step.place}"
    try:
        await making.create(context, instance, [disk])
        if context.snapshot.cluster.prealloc_wipe_disks:
            await making.wipe(context, instance, [disk])

        def record(changed: draft.Draft) -> Instance:
            return changed.attach_disk(changed.snapshot.instances[instance.uuid], disk, step.place)

        instance = await context.change(record)
    except errors.Failure:
        await making.remove(context, instance, [disk])
        raise
    words: Words = [(name, f"add:size={disk.size},mode={disk.mode}")]
    if not instance.disks_active:
        await disks.shut_down(context, instance, only=[disk])
        return words
    return words + await _plug(context, instance, step, plugs=plugs)


async def _attach(
    context: contexts.Context, instance: Instance, step: Step, *, plugs: bool
) -> Words:
    disk = context.snapshot.disks[step.disk.uuid or ""]
    if disk.dev_type in newdisks.FILES:
        folder = newdisks.directory_of(context.snapshot, disk.dev_type, instance.name, None)
        disk = await _move(context, instance, disk, f"{folder}/{_base(disk)}", makes=folder)

    def record(changed: draft.Draft) -> Instance:
        newest = changed.snapshot.disks[disk.uuid or ""]
        return changed.attach_disk(changed.snapshot.instances[instance.uuid], newest, step.place)

    instance = await context.change(record)
    words: Words = [(f"disk/{step.place}", f"attach:size={disk.size},mode={disk.mode}")]
    if not instance.disks_active:
        return words
    return words + await _plug(context, instance, step, plugs=plugs)


async def _plug(context: contexts.Context, instance: Instance, step: Step, *, plugs: bool) -> Words:
    """Have a disk ready on its node, and give it to the guest where that can be."""
    name = f"disk/{step.place}"
    disk = context.snapshot.disks[step.disk.uuid or ""]
    try:
        [ready] = await disks.assemble(context, instance, only=[disk])
    except errors.Failure as error:
        context.warn(f"Can't assemble disk {step.place}: {error}")
        return [(name, "assemble:failed")]
    if not plugs:
        return []
    return [(name, await plugging.add_disk(context, instance, ready, step.place))]


async def _modify(context: contexts.Context, step: Step) -> Words:
    params, place = step.params, step.place

    def record(changed: draft.Draft) -> Disk:
        return changed.put(_modified(changed.snapshot.disks[step.disk.uuid or ""], params))

    disk = await context.change(record)
    words: Words = [(f"disk.{key}/{place}", getattr(disk, key)) for key in _OURS if key in params]
    return words + [
        (f"disk.params:{key}/{place}", value) for key, value in params.items() if key not in _OURS
    ]


async def _take(
    context: contexts.Context, instance: Instance, step: Step, *, plugs: bool, force: bool
) -> Words:
    """Take a disk away from its instance, and remove it or keep it for another."""
    disk, kind = context.snapshot.disks[step.disk.uuid or ""], f"disk/{step.place}"
    words: Words = [(kind, step.action)]
    if plugs:
        how = await plugging.remove_disk(context, instance, disk, step.place)
        words.append((kind, how))
        if how != plugging.DONE and not force:
            raise errors.Failure(
                f"the guest has not let go of disk {step.place}, which stays: shut the instance"
                f" down first, or have it go all the same with --force"
            )
    await disks.shut_down(context, instance, only=[disk])
    if step.action == "detach":
        if disk.dev_type in newdisks.FILES:
            folder, name = posixpath.split(disk.logical_id[1])
            disk = await _move(context, instance, disk, f"{posixpath.dirname(folder)}/{name}")
    elif not await making.remove(context, instance, [disk]):
        raise errors.Failure(f"disk {step.place} could not be removed, and stays the instance's")

    def record(changed: draft.Draft) -> Instance:
        newest = changed.snapshot.disks[disk.uuid or ""]
        there = changed.snapshot.instances[instance.uuid]
        if step.action == "detach":
            return changed.detach_disk(there, newest)
        return changed.remove_disk(there, newest)

    await context.change(record)
    return words


async def _move(
    context: contexts.Context,
    instance: Instance,
    disk: Disk,
    path: str,
    *,
    makes: str | None = None,
) -> Disk:
    """Have a disk that is a file somewhere else, and the configuration say so. Raises Failure.

    Where it is there already, an earlier try got so far.
    """
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    moved = msgspec.structs.replace(disk, logical_id=(disk.logical_id[0], path))
    if moved == disk:
        return disk
    if makes is not None:
        await context.nodes.call(node, "file_storage_dir_create", makes)
    told = rpcargs.disk_for_node(snapshot, instance, disk, node)
    try:
        await context.nodes.call(node, "blockdev_rename", [[told, list(moved.logical_id)]])
    except errors.Failure:
        there = rpcargs.disk_for_node(snapshot, instance, moved, node)
        if await _is_there(context, node, told) or not await _is_there(context, node, there):
            raise

    def record(changed: draft.Draft) -> Disk:
        newest = changed.snapshot.disks[disk.uuid or ""]
        return changed.put(msgspec.structs.replace(newest, logical_id=moved.logical_id))

    return await context.change(record)


async def _is_there(context: contexts.Context, node: Node, told: dict[str, Any]) -> bool:
    return await context.nodes.call(node, "blockdev_find", told) is not None


def _new(
    snapshot: Snapshot,
    instance: Instance,
    present: Sequence[Disk],
    params: Params,
    place: int,
    asked: Asked,
) -> Disk:
    given = dict(params)
    wanted = given.pop("type", None)
    template = _template(present, wanted)
    enabled = snapshot.cluster.enabled_disk_templates
    if template.value not in enabled:
        raise errors.BadInput(
            f"Disk template '{template}' is not enabled for this cluster (enabled templates:"
            f" {', '.join(enabled)})",
            "wrong_state",
        )
    given["name"] = modifications.name_of(given, None)
    node = snapshot.nodes[instance.primary_node]
    checks.online(node)
    [disk] = newdisks.make(
        snapshot, template, [given],
        instance=instance.name, node=node.uuid, new_uuid=asked.new_uuid,
        directory=asked.directory, driver=asked.driver, first=place,
    )  # fmt: skip
    return disk


def _template(present: Sequence[Disk], wanted: object) -> Template:
    found = wanted or (present[0].dev_type.value if present else None)
    if found is None or found == Template.DISKLESS.value:
        raise errors.BadInput(
            "Must specify disk type on diskless instance: --disk add:size=…,type=…"
        )
    try:
        return Template(str(found))
    except ValueError as error:
        raise errors.BadInput(f"there is no disk template {found!r}") from error


def _detached(
    snapshot: Snapshot, instance: Instance, present: Sequence[Disk], params: Params
) -> Disk:
    """Return the disk that is to be attached; raises BadInput if it cannot be."""
    if len(params) != 1 or not set(params) <= {"uuid", "name"}:
        raise errors.BadInput("Only one argument is permitted in attach op, either name or uuid")
    [(key, wanted)] = params.items()
    found = [disk for disk in snapshot.disks.values() if getattr(disk, key) == wanted]
    free = [disk for disk in found if snapshot.instance_of(disk) is None]
    if not found:
        raise errors.BadInput(f"No disk was found with this {key}: {wanted}")
    if not free:
        owner = snapshot.instance_of(found[0])
        raise errors.BadInput(
            f"disk {wanted} is attached to instance {owner.name if owner else '?'}", "wrong_state"
        )
    if len(free) > 1:
        uuids = ", ".join(sorted(disk.uuid or "" for disk in free))
        raise errors.BadInput(f"there are several free disks {wanted}: name one by uuid={uuids}")
    [disk] = free
    if present and disk.dev_type is not present[0].dev_type:
        raise errors.BadInput(
            f"Instance has '{present[0].dev_type}' template while disk has '{disk.dev_type}'"
            " template"
        )
    if disk.nodes and instance.primary_node not in disk.nodes:
        names = ", ".join(snapshot.nodes[one].name for one in disk.nodes if one in snapshot.nodes)
        raise errors.BadInput(
            f"Disk nodes are {names} while the instance's node is"
            f" {snapshot.nodes[instance.primary_node].name}"
        )
    return disk


def _modified(disk: Disk, params: Params) -> Disk:
    """Return a disk with what can be changed of it; raises BadInput for what cannot."""
    if "size" in params:
        raise errors.BadInput("Disk size change not possible, use grow-disk")
    own = {key: value for key, value in params.items() if key not in _OURS}
    is_free = disk.dev_type is Template.EXT
    if refused := sorted(key for key in own if key in _FIXED or not is_free):
        raise errors.BadInput(f"Disk '{refused[0]}' parameter change is not possible")
    mode = params.get("mode", disk.mode)
    if mode not in _MODES:
        raise errors.BadInput(f"Invalid disk access mode '{mode}'")
    kept = {key: value for key, value in disk.params.items() if own.get(key) != _DEFAULT}
    set_now = {key: value for key, value in own.items() if value != _DEFAULT}
    return msgspec.structs.replace(
        disk,
        mode=mode,
        name=modifications.name_of(params, disk.name),
        params={**kept, **set_now},
    )


def _base(disk: Disk) -> str:
    return posixpath.basename(str(disk.logical_id[1]))
