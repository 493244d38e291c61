"""A node group's parameters as they will be, and the hooks that tell of a group; pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft, invariants
from pyganeti.masterd.ops import operation, parameters
from pyganeti.model.config import defaults
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import group as opcodes

_STANDARD: Final = "std"
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {}, parameters.DEFAULT, [parameters.DEFAULT])
"""Values with which a group has the cluster's rule again."""


def changed(group: NodeGroup, op: opcodes.GroupAdd | opcodes.GroupSetParams) -> NodeGroup:
    """Return a group with what an opcode says of it; raises BadInput for what makes no sense."""
    if op.disk_state:
        raise errors.BadInput("disk states cannot be had from this master daemon yet")
    ndparams = parameters.typed(op.ndparams or {}, defaults.NODE, "node")
    diskparams = {}
    for template, params in (op.diskparams or {}).items():
        if template not in defaults.DISKS:
            raise errors.BadInput(f"there is no disk template {template!r}")
        right = defaults.DISKS[template]
        diskparams[template] = parameters.typed(params, right, f"{template} disk")
    hv_state = {}
    for hypervisor, params in (op.hv_state or {}).items():
        if hypervisor not in defaults.HYPERVISORS:
            raise errors.BadInput(f"there is no hypervisor {hypervisor!r} here")
        right = defaults.HYPERVISOR_STATE
        hv_state[hypervisor] = parameters.typed(params, right, "hypervisor state")
    return msgspec.structs.replace(
        group,
        alloc_policy=op.alloc_policy or group.alloc_policy,
        ndparams=parameters.merged(group.ndparams, ndparams),
        diskparams=_nested(group.diskparams, diskparams),
        hv_state_static=_nested(group.hv_state_static, hv_state),
        ipolicy=_policy(group.ipolicy, op.ipolicy or {}),
    )


def rehearsed(snapshot: Snapshot, group: NodeGroup, now: float) -> Snapshot:
    """Return the configuration with a group in it; raises BadInput if that breaks its rules."""
    made = draft.Draft(snapshot, now)
    made.put(group)
    invariants.check(snapshot, made.snapshot, made.touched)
    return made.snapshot


def check_name(snapshot: Snapshot, name: str) -> None:
    """Raise BadInput if there is a group of that name."""
    for group in snapshot.groups.values():
        if group.name == name:
            raise errors.BadInput(
                f"Desired group name '{name}' already exists as a node group (UUID: {group.uuid})",
                "already_exists",
            )


def hooks(
    snapshot: Snapshot,
    path: str,
    name: str,
    environment: Mapping[str, object],
    others: Sequence[str] = (),
) -> operation.Hooks:
    """Return hooks that run on the master, and on others."""
    nodes = list(dict.fromkeys([snapshot.cluster.master_node, *others]))
    return operation.Hooks(
        path=path,
        kind="GROUP",
        environment={"OP_TARGET": name, **environment},
        before=nodes,
        after=nodes,
    )


def _nested(before: Mapping[str, Params], given: Mapping[str, Params]) -> dict[str, Params]:
    return {
        **before,
        **{name: parameters.merged(before.get(name, {}), own) for name, own in given.items()},
    }


def _policy(before: Params, given: Params) -> Params:
    found = dict(before)
    for name, value in given.items():
        if name not in defaults.POLICY:
            raise errors.BadInput(f"Invalid key in new ipolicy: {name}")
        if name == _STANDARD:
            raise errors.BadInput("the standard instance is the cluster's: a group has none")
        if any(value == one for one in _EMPTY):
            found.pop(name, None)
        else:
            found[name] = value
    return found
