"""What is wrong with an instance, by the configuration and by what its nodes said."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyganeti.masterd.ops.instance import policy
from pyganeti.masterd.ops.verifying import images
from pyganeti.masterd.ops.verifying.findings import Code, Findings, Level
from pyganeti.model.config import filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

_STATES: Final = {0: "unknown", 1: "ok", 2: "sync", 3: "unknown", 4: "faulty"}
_FINE: Final = frozenset({1, 2})
_IN_FILES: Final = frozenset({Template.FILE, Template.SHARED_FILE})
_EXCLUSIVE: Final = frozenset({Template.PLAIN})

Images = Mapping[str, images.Image]


def judge(
    found: Findings, snapshot: Snapshot, group: NodeGroup, instance: Instance, seen: Images
) -> None:
    """Tell what is wrong with an instance of a group; ``seen`` are its nodes' images by uuid."""
    disks = snapshot.disks_of(instance)
    nodes = snapshot.nodes_of(instance)
    wrong = policy.violations(
        filling.policy(snapshot.cluster, group), policy.of(snapshot, instance)
    )
    found.when(wrong, Code.INSTANCE_POLICY, instance.name, ", ".join(wrong), Level.WARNING)
    _volumes(found, snapshot, instance, seen)
    primary = snapshot.nodes.get(instance.primary_node)
    if primary is not None:
        _running(found, instance, primary, seen.get(primary.uuid))
    _disks(found, instance, disks, seen)
    _exclusive(found, snapshot, instance, disks, nodes)
    _secondaries(found, snapshot, instance, seen)
    for node in nodes:
        found.when(
            not node.vm_capable,
            Code.INSTANCE_BAD_NODE,
            instance.name,
            f"instance lives on non-vm_capable node {node.name}",
        )


def is_redundant(disks: Sequence[Disk]) -> bool:
    """Tell whether an instance's disks outlive the node it is on."""
    return bool(disks) and all(
        disk.dev_type not in {Template.FILE, Template.PLAIN} for disk in disks
    )


def _volumes(found: Findings, snapshot: Snapshot, instance: Instance, seen: Images) -> None:
    for uuid, expected in images.volumes_of(snapshot, [instance.uuid]).items():
        image = seen.get(uuid)
        if image is None or image.node.offline or image.is_silent or image.volumes is None:
            continue
        for volume in sorted(expected):
            found.when(
                volume not in image.volumes,
                Code.INSTANCE_MISSING_DISK,
                instance.name,
                f"volume {volume} missing on node {image.node.name}",
            )


def _running(
    found: Findings, instance: Instance, primary: Node, image: images.Image | None
) -> None:
    if instance.admin_state == "up":
        found.when(
            primary.offline,
            Code.INSTANCE_BAD_NODE,
            instance.name,
            f"instance is marked as running and lives on offline node {primary.name}",
        )
        if image is not None and image.instances is not None:
            found.when(
                instance.name not in image.instances,
                Code.INSTANCE_DOWN,
                instance.name,
                f"instance not running on its primary node {primary.name}",
            )
    found.when(
        image is not None and image.is_silent and not primary.offline,
        Code.NODE_RPC,
        primary.name,
        f"instance {instance.name}, connection to primary node failed",
    )


def _disks(found: Findings, instance: Instance, disks: Sequence[Disk], seen: Images) -> None:
    for image in seen.values():
        if image.node.offline:
            continue
        for place, disk in enumerate(disks):
            if disk.uuid not in image.disks:
                continue
            is_known, status = image.disks[disk.uuid]
            where = f"disk/{place} on {image.node.name}"
            if not is_known:
                _without_status(found, instance, disk, where, status)
            elif instance.disks_active:
                _degraded(found, instance, where, status)


def _without_status(
    found: Findings, instance: Instance, disk: Disk, where: str, why: object
) -> None:
    if instance.disks_active:
        found.add(
            Code.INSTANCE_FAULTY_DISK,
            instance.name,
            f"couldn't retrieve status for {where}: {why}",
        )
    elif disk.dev_type in _IN_FILES:  # others need not be there while nobody uses them
        found.add(Code.INSTANCE_MISSING_DISK, instance.name, f"{where} is missing: {why}")


def _degraded(found: Findings, instance: Instance, where: str, status: Any) -> None:  # noqa: ANN401 - JSON
    if not isinstance(status, dict):
        found.add(Code.INSTANCE_FAULTY_DISK, instance.name, f"{where}: the status is {status!r}")
        return
    local = status.get("ldisk_status")
    found.when(
        status.get("is_degraded"),
        Code.INSTANCE_FAULTY_DISK,
        instance.name,
        f"{where} is degraded; local disk state is '{_STATES.get(local or 0, local)}'",
        Level.WARNING if local in _FINE else Level.ERROR,
    )


def _exclusive(
    found: Findings,
    snapshot: Snapshot,
    instance: Instance,
    disks: Sequence[Disk],
    nodes: Sequence[Node],
) -> None:
    """Tell what is wrong where instances have physical disks to themselves."""
    exclusive = [
        node.name
        for node in nodes
        if filling.node(snapshot.cluster, snapshot.group_of(node), node)["exclusive_storage"]
    ]
    if not exclusive:
        return
    shared = sorted({disk.dev_type.value for disk in disks if disk.dev_type not in _EXCLUSIVE})
    found.when(
        shared,
        Code.INSTANCE_UNSUITABLE_NODE,
        instance.name,
        f"instance uses disk types {', '.join(shared)}, which are not supported on nodes that"
        f" have exclusive storage set: {', '.join(exclusive)}",
    )
    for place, disk in enumerate(disks):
        found.when(
            disk.spindles is None,
            Code.INSTANCE_MISSING_PARAMETER,
            instance.name,
            f"number of spindles not configured for disk {place} while exclusive storage is"
            " enabled, try running gnt-cluster repair-disk-sizes",
        )


def _secondaries(found: Findings, snapshot: Snapshot, instance: Instance, seen: Images) -> None:
    uuids = snapshot.secondaries_of(instance)
    if not uuids:
        return
    nodes = [snapshot.nodes[uuid] for uuid in uuids if uuid in snapshot.nodes]
    found.when(
        len(uuids) > 1,
        Code.INSTANCE_LAYOUT,
        instance.name,
        f"instance has multiple secondary nodes: {', '.join(uuids)}",
        Level.WARNING,
    )
    found.when(
        len(nodes) < len(uuids),
        Code.INSTANCE_BAD_NODE,
        instance.name,
        "instance lives on a ghost node",
    )
    groups: dict[str, list[str]] = {}
    for node in snapshot.nodes_of(instance):
        groups.setdefault(snapshot.group_of(node).name, []).append(node.name)
    found.when(
        len(groups) > 1,
        Code.INSTANCE_SPLIT_GROUPS,
        instance.name,
        "instance has primary and secondary nodes in different groups: "
        + ", ".join(f"{', '.join(names)} (group {name})" for name, names in groups.items()),
        Level.WARNING,
    )
    for node in nodes:
        image = seen.get(node.uuid)
        found.when(
            image is not None and image.is_silent and not node.offline,
            Code.NODE_RPC,
            node.name,
            f"instance {instance.name}, connection to secondary node failed",
        )
    offline = [node.name for node in nodes if node.offline]
    found.when(
        offline,
        Code.INSTANCE_BAD_NODE,
        instance.name,
        f"instance has offline secondary node(s) {', '.join(offline)}",
    )
