"""What every opcode has, and the kinds of values that many have."""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec

Params: TypeAlias = dict[str, Any]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Positive: TypeAlias = Annotated[int, msgspec.Meta(gt=0)]
DiskIndex: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=16)]
Priority: TypeAlias = Annotated[int, msgspec.Meta(ge=-20, le=19)]
Trail: TypeAlias = list[tuple[str, str, int]]
"""Why: who, in which words, when (nanoseconds of the epoch), from the first cause to the last."""

Dependency: TypeAlias = tuple[int, list[str]]
"""A job's number (negative: counted back from this one, in the same submission) and the states
that it may end in; none given: any."""

Template: TypeAlias = Literal[
    "blockdev", "diskless", "drbd", "ext", "file", "gluster", "plain", "rbd", "sharedfile"
]
HypervisorName: TypeAlias = Literal["chroot", "fake", "kvm", "lxc", "xen-hvm", "xen-pvm"]
Resource: TypeAlias = Literal[
    "cluster",
    "export",
    "extstorage",
    "filter",
    "group",
    "instance",
    "job",
    "lock",
    "network",
    "node",
    "os",
]
StorageType: TypeAlias = Literal[
    "blockdev", "diskless", "ext", "file", "gluster", "lvm-pv", "lvm-vg", "rados", "sharedfile"
]
TagKind: TypeAlias = Literal["cluster", "instance", "network", "node", "nodegroup"]

Ours: TypeAlias = bool | msgspec.UnsetType
"""A switch that Ganeti does not know. Unset it is off and not on the wire, where Ganeti's master
daemon would refuse it."""


class Opcode(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="OP_ID", forbid_unknown_fields=True
):
    """One thing to be done. ``priority`` is the one it was submitted with."""

    said: ClassVar[str | None] = None
    """The parameter that tells people which one this is."""

    dry_run: bool | None = False
    debug_level: Natural | None = 0
    priority: Priority = 0
    depends: list[Dependency] | None = None
    comment: str | None = None
    reason: Trail = []


class OnInstance(Opcode, frozen=True, kw_only=True):
    """One on an instance. The uuid, where given, is what counts."""

    said: ClassVar[str | None] = "instance_name"

    instance_name: str
    instance_uuid: Text | None = None


class OnNode(Opcode, frozen=True, kw_only=True):
    """One on a node. The uuid, where given, is what counts."""

    said: ClassVar[str | None] = "node_name"

    node_name: Text
    node_uuid: Text | None = None


class OnGroup(Opcode, frozen=True, kw_only=True):
    """One on a node group."""

    said: ClassVar[str | None] = "group_name"

    group_name: Text


class OnNetwork(Opcode, frozen=True, kw_only=True):
    """One on a network."""

    said: ClassVar[str | None] = "network_name"

    network_name: Text
