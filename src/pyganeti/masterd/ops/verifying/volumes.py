"""What is wrong with nodes' volume groups, where the cluster has one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyganeti.masterd.ops.verifying import images
from pyganeti.masterd.ops.verifying.findings import Code, Findings, Level
from pyganeti.model.config.snapshot import Snapshot

_SMALLEST_GROUP: Final = 20480
"""MiB below which a volume group is not worth having."""

_MARGIN: Final = 0.01
"""How far physical volumes may be from one size, where instances have them to themselves."""


def judge(found: Findings, group: str | None, image: images.Image, said: Mapping[str, Any]) -> None:
    """Tell what is wrong with a node's volumes, and put them into its image."""
    if group is None:
        return
    name = image.node.name
    groups = images.shaped(said, "vglist", dict[str, float], {"": 0.0})
    if not groups:
        found.add(Code.NODE_LVM, name, "unable to check volume groups")
    elif group not in groups:
        found.add(Code.NODE_LVM, name, f"volume group '{group}' missing")
    else:
        found.when(
            groups[group] < _SMALLEST_GROUP,
            Code.NODE_LVM,
            name,
            f"volume group '{group}' too small ({_SMALLEST_GROUP} MiB required,"
            f" {groups[group]:.0f} MiB found)",
        )
    _physical(found, image, said)
    listed = said.get("lvlist", "Missing LV data")
    if isinstance(listed, str):
        found.add(Code.NODE_LVM, name, f"LVM problem on node: {listed}")
    elif not isinstance(listed, dict):
        found.add(Code.NODE_LVM, name, "rpc call to node failed (lvlist)")
    else:
        image.volumes = listed


def _physical(found: Findings, image: images.Image, said: Mapping[str, Any]) -> None:
    listed = images.shaped(said, "pvlist", list[dict[str, Any]], [{"": 0}])
    if listed is None:
        found.add(Code.NODE_LVM, image.node.name, "Can't get PV list from node")
        return
    for one in listed:
        found.when(
            ":" in str(one.get("name")),
            Code.NODE_LVM,
            image.node.name,
            f"Invalid character ':' in PV '{one.get('name')}' of VG '{one.get('vg_name')}'",
        )
    if "exclusive-pvs" not in said:
        return
    shared = images.shaped(said, "exclusive-pvs", list[tuple[str, list[str]]], [("", [""])])
    for name, on in shared or ():
        text = f"PV {name} is shared among unrelated LVs ({', '.join(on)})"
        found.add(Code.NODE_LVM, image.node.name, text)
    sizes = [float(one["size"]) for one in listed if isinstance(one.get("size"), int | float)]
    if sizes:
        image.volume_sizes = min(sizes), max(sizes)


def judge_sizes(found: Findings, group: str, seen: Iterable[images.Image]) -> None:
    """Tell whether physical volumes that instances have to themselves differ too much."""
    sized = [(image.volume_sizes, image.node.name) for image in seen if image.volume_sizes]
    if not sized:
        return
    (smallest, _), on_small = min(sized, key=lambda one: one[0][0])
    (_, biggest), on_big = max(sized, key=lambda one: one[0][1])
    found.when(
        smallest * (1 + _MARGIN) < biggest * (1 - _MARGIN),
        Code.GROUP_PV_SIZES,
        group,
        f"PV sizes differ too much in the group; smallest ({smallest:.0f} MB) is on {on_small},"
        f" biggest ({biggest:.0f} MB) is on {on_big}",
    )


def judge_orphans(found: Findings, snapshot: Snapshot, images_seen: Iterable[images.Image]) -> None:
    """Tell which volumes of the cluster's group belong to no instance."""
    group = snapshot.cluster.volume_group_name
    if group is None:
        return
    expected = images.volumes_of(
        snapshot, [one.uuid for one in snapshot.instances.values() if not one.forthcoming]
    )
    reserved = [re.compile(pattern) for pattern in snapshot.cluster.reserved_lvs]
    for image in images_seen:
        own = expected.get(image.node.uuid, set())
        for name in sorted(image.volumes or {}):
            if name.partition("/")[0] != group or name in own:
                continue
            found.when(
                not any(pattern.fullmatch(name) for pattern in reserved),
                Code.NODE_ORPHAN_VOLUME,
                image.node.name,
                f"volume {name} is unknown",
                Level.WARNING,
            )
