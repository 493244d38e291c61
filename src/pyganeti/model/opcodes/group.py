"""Opcodes on node groups."""

from typing import ClassVar, Literal

from pyganeti.model.opcodes import base


class GroupAdd(base.OnGroup, tag="OP_GROUP_ADD", frozen=True, kw_only=True):
    """Add a node group."""

    alloc_policy: Literal["last_resort", "preferred", "unallocable"] | None = None
    ndparams: base.Params | None = None
    diskparams: dict[str, base.Params] | None = None
    hv_state: base.Params | None = None
    disk_state: base.Params | None = None
    ipolicy: base.Params | None = None


class GroupAssignNodes(base.OnGroup, tag="OP_GROUP_ASSIGN_NODES", frozen=True, kw_only=True):
    """Put nodes into a group."""

    force: bool = False
    nodes: list[base.Text]
    node_uuids: list[base.Text] | None = None


class GroupEvacuate(base.OnGroup, tag="OP_GROUP_EVACUATE", frozen=True, kw_only=True):
    """Move a group"s instances to others: answers with the jobs that do."""

    early_release: bool = False
    iallocator: base.Text | None = None
    target_groups: list[base.Text] | None = None
    sequential: bool = False
    force_failover: bool = False


class GroupRemove(base.OnGroup, tag="OP_GROUP_REMOVE", frozen=True, kw_only=True):
    """Remove a node group."""


class GroupRename(base.OnGroup, tag="OP_GROUP_RENAME", frozen=True, kw_only=True):
    """Give a node group another name."""

    said: ClassVar[str | None] = None
    new_name: base.Text


class GroupSetParams(base.OnGroup, tag="OP_GROUP_SET_PARAMS", frozen=True, kw_only=True):
    """Change a node group."""

    alloc_policy: Literal["last_resort", "preferred", "unallocable"] | None = None
    ndparams: base.Params | None = None
    diskparams: dict[str, base.Params] | None = None
    hv_state: base.Params | None = None
    disk_state: base.Params | None = None
    ipolicy: base.Params | None = None


class GroupVerifyDisks(base.OnGroup, tag="OP_GROUP_VERIFY_DISKS", frozen=True, kw_only=True):
    """Look for a group"s instances with missing disks."""
