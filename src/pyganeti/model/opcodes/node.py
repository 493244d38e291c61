"""Opcodes on nodes."""

from typing import ClassVar, Literal

from pyganeti.model.opcodes import base


class NodeAdd(base.Opcode, tag="OP_NODE_ADD", frozen=True, kw_only=True):
    """Add a node to the cluster, or again."""

    said: ClassVar[str | None] = "node_name"
    node_name: base.Text
    hv_state: base.Params | None = None
    disk_state: base.Params | None = None
    primary_ip: base.Text | None = None
    secondary_ip: base.Text | None = None
    readd: bool = False
    group: base.Text | None = None
    master_capable: bool | None = None
    vm_capable: bool | None = None
    ndparams: base.Params | None = None
    node_setup: bool = False


class NodeEvacuate(base.OnNode, tag="OP_NODE_EVACUATE", frozen=True, kw_only=True):
    """Move a node"s instances away: answers with the jobs that do."""

    early_release: bool = False
    remote_node: base.Text | None = None
    remote_node_uuid: base.Text | None = None
    iallocator: base.Text | None = None
    mode: Literal["all", "primary-only", "secondary-only"]
    ignore_soft_errors: bool | None = None


class NodeMigrate(base.OnNode, tag="OP_NODE_MIGRATE", frozen=True, kw_only=True):
    """Migrate all of a node"s instances away: answers with the jobs that do."""

    mode: Literal["live", "non-live"] | None = None
    live: bool | None = None
    target_node: base.Text | None = None
    target_node_uuid: base.Text | None = None
    allow_runtime_changes: bool = True
    ignore_ipolicy: bool = False
    iallocator: base.Text | None = None


class NodeModifyStorage(base.OnNode, tag="OP_NODE_MODIFY_STORAGE", frozen=True, kw_only=True):
    """Change a storage unit of a node."""

    storage_type: base.StorageType
    name: base.Text | None = None
    changes: base.Params


class NodePowercycle(base.OnNode, tag="OP_NODE_POWERCYCLE", frozen=True, kw_only=True):
    """Reboot a node the hard way."""

    force: bool = False


class NodeQueryvols(base.Opcode, tag="OP_NODE_QUERYVOLS", frozen=True, kw_only=True):
    """Answer which volumes nodes have."""

    output_fields: list[base.Text]
    nodes: list[base.Text] = []


class NodeQueryStorage(base.Opcode, tag="OP_NODE_QUERY_STORAGE", frozen=True, kw_only=True):
    """Answer which storage nodes have."""

    output_fields: list[base.Text]
    storage_type: base.StorageType | None = None
    nodes: list[base.Text] = []
    name: base.Text | None = None


class NodeRemove(base.OnNode, tag="OP_NODE_REMOVE", frozen=True, kw_only=True):
    """Remove a node from the cluster."""


class NodeSetParams(base.OnNode, tag="OP_NODE_SET_PARAMS", frozen=True, kw_only=True):
    """Change a node"s role and parameters."""

    force: bool = False
    hv_state: base.Params | None = None
    disk_state: base.Params | None = None
    master_candidate: bool | None = None
    offline: bool | None = None
    drained: bool | None = None
    auto_promote: bool = False
    master_capable: bool | None = None
    vm_capable: bool | None = None
    secondary_ip: base.Text | None = None
    ndparams: base.Params | None = None
    powered: bool | None = None


class OobCommand(base.Opcode, tag="OP_OOB_COMMAND", frozen=True, kw_only=True):
    """Have the out-of-band helper act on nodes."""

    node_names: list[base.Text] = []
    node_uuids: list[base.Text] | None = None
    command: Literal["health", "power-cycle", "power-off", "power-on", "power-status"]
    timeout: int = 60
    ignore_status: bool = False
    power_delay: float = 2.0


class RepairNodeStorage(base.OnNode, tag="OP_REPAIR_NODE_STORAGE", frozen=True, kw_only=True):
    """Repair a storage unit of a node."""

    storage_type: base.StorageType
    name: base.Text | None = None
    ignore_consistency: bool = False


class RestrictedCommand(base.Opcode, tag="OP_RESTRICTED_COMMAND", frozen=True, kw_only=True):
    """Run one of the programs that an administrator may run on nodes."""

    use_locking: bool = False
    nodes: list[base.Text]
    node_uuids: list[base.Text] | None = None
    command: base.Text
