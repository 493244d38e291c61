"""Whether an instance is like the policy of its group wants instances to be; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyganeti.base import errors
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a policy looks at. Memory and disk sizes in MiB."""

    memory: int
    vcpus: int
    spindle_use: int
    disks: Sequence[int]
    nics: int
    template: str


def violations(policy: Mapping[str, Any], spec: Spec) -> list[str]:
    """Return what is wrong with an instance, in words; nothing if any of the bounds holds it.

    ``policy`` is a group's, filled.
    """
    found = []
    if spec.template not in policy["disk-templates"] and spec.template != Template.DISKLESS.value:
        allowed = ", ".join(policy["disk-templates"])
        found.append(f"disk template {spec.template} is not allowed (allowed templates: {allowed})")
    within: list[list[str]] = [_outside(bounds, spec) for bounds in policy["minmax"]]
    if within and all(within):
        nearest: list[str] = min(within, key=len)
        found += nearest
    return found


def check(policy: Mapping[str, Any], spec: Spec, where: str) -> None:
    """Raise BadInput, with all that is wrong, unless an instance fits."""
    found = violations(policy, spec)
    if found:
        raise errors.BadInput(
            f"Instance allocation to {where} violates policy: {'; '.join(found)}"
            " (--ignore-ipolicy does it all the same)"
        )


def _outside(bounds: Mapping[str, Mapping[str, int]], spec: Spec) -> list[str]:
    values: list[tuple[str, int]] = [
        ("memory-size", spec.memory),
        ("cpu-count", spec.vcpus),
        ("spindle-use", spec.spindle_use),
        ("nic-count", spec.nics),
        *(("disk-size", size) for size in spec.disks),
    ]
    if spec.template != Template.DISKLESS.value:
        values.append(("disk-count", len(spec.disks)))
    found = []
    for name, value in values:
        least, most = bounds["min"].get(name), bounds["max"].get(name)
        if (least is not None and value < least) or (most is not None and value > most):
            found.append(f"{name} value {value} is not in range [{least}, {most}]")
    return found


def of(snapshot: Snapshot, instance: Instance, *, sizes: Mapping[str, int] | None = None) -> Spec:
    """Return what a policy looks at in an instance that there is; ``sizes`` are disks' new ones."""
    backend = filling.backend(snapshot.cluster, instance.beparams)
    disks = snapshot.disks_of(instance)
    return Spec(
        memory=backend["maxmem"],
        vcpus=backend["vcpus"],
        spindle_use=backend["spindle_use"],
        disks=[(sizes or {}).get(disk.uuid or "", disk.size) for disk in disks],
        nics=len(instance.nics),
        template=disks[0].dev_type.value if disks else Template.DISKLESS.value,
    )
