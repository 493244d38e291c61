"""Opcodes on instances."""

from typing import Any, ClassVar, Literal

import msgspec

from pyganeti.model.opcodes import base


class InstanceActivateDisks(
    base.OnInstance, tag="OP_INSTANCE_ACTIVATE_DISKS", frozen=True, kw_only=True
):
    """Make an instance"s disks available on its node."""

    ignore_size: bool = False
    wait_for_sync: bool = False


class InstanceChangeGroup(
    base.OnInstance, tag="OP_INSTANCE_CHANGE_GROUP", frozen=True, kw_only=True
):
    """Move an instance to another node group: answers with the jobs that do."""

    early_release: bool = False
    iallocator: base.Text | None = None
    target_groups: list[base.Text] | None = None


class InstanceConsole(base.OnInstance, tag="OP_INSTANCE_CONSOLE", frozen=True, kw_only=True):
    """Answer how to reach an instance"s console."""


class InstanceCreate(base.Opcode, tag="OP_INSTANCE_CREATE", frozen=True, kw_only=True):
    """Create an instance, or import one."""

    said: ClassVar[str | None] = "instance_name"
    instance_name: str
    force_variant: bool = False
    wait_for_sync: bool = True
    name_check: bool = True
    ignore_ipolicy: bool = False
    opportunistic_locking: bool = False
    beparams: base.Params = {}
    disks: list[base.Params]
    disk_template: base.Template | None = None
    group_name: base.Text | None = None
    file_driver: Literal["blktap", "blktap2", "loop"] | None = None
    file_storage_dir: base.Text | None = None
    hvparams: base.Params = {}
    hypervisor: base.HypervisorName | None = None
    iallocator: base.Text | None = None
    identify_defaults: bool = False
    ip_check: bool = True
    conflicts_check: bool = True
    mode: Literal["create", "import", "remote-import"]
    nics: list[base.Params]
    no_install: bool | None = None
    osparams: base.Params = {}
    osparams_private: base.Params | None = None
    osparams_secret: base.Params | None = None
    os_type: base.Text | None = None
    pnode: base.Text | None = None
    pnode_uuid: base.Text | None = None
    snode: base.Text | None = None
    snode_uuid: base.Text | None = None
    source_handshake: list[Any] | None = None
    source_instance_name: base.Text | None = None
    source_shutdown_timeout: base.Natural = 120
    source_x509_ca: base.Text | None = None
    src_node: base.Text | None = None
    src_node_uuid: base.Text | None = None
    src_path: base.Text | None = None
    compress: str = "none"
    start: bool = True
    forthcoming: bool = False
    commit: bool = False
    tags: list[base.Text] = []
    instance_communication: bool = False
    helper_startup_timeout: int | None = None
    helper_shutdown_timeout: int | None = None


class InstanceDeactivateDisks(
    base.OnInstance, tag="OP_INSTANCE_DEACTIVATE_DISKS", frozen=True, kw_only=True
):
    """Take an instance"s disks away from its node."""

    force: bool = False


class InstanceFailover(base.OnInstance, tag="OP_INSTANCE_FAILOVER", frozen=True, kw_only=True):
    """Move an instance to another node, stopped in between."""

    shutdown_timeout: base.Natural = 120
    ignore_consistency: bool = False
    target_node: base.Text | None = None
    target_node_uuid: base.Text | None = None
    ignore_ipolicy: bool = False
    cleanup: bool = False
    iallocator: base.Text | None = None


class InstanceGrowDisk(base.OnInstance, tag="OP_INSTANCE_GROW_DISK", frozen=True, kw_only=True):
    """Make a disk larger."""

    wait_for_sync: bool = True
    disk: base.DiskIndex
    amount: base.Natural
    absolute: bool = False
    ignore_ipolicy: bool = False


class InstanceMigrate(base.OnInstance, tag="OP_INSTANCE_MIGRATE", frozen=True, kw_only=True):
    """Move a running instance to another node."""

    mode: Literal["live", "non-live"] | None = None
    live: bool | None = None
    target_node: base.Text | None = None
    target_node_uuid: base.Text | None = None
    allow_runtime_changes: bool = True
    ignore_ipolicy: bool = False
    cleanup: bool = False
    iallocator: base.Text | None = None
    allow_failover: bool = False
    ignore_hvversions: bool = False


class InstanceMove(base.OnInstance, tag="OP_INSTANCE_MOVE", frozen=True, kw_only=True):
    """Move an instance by copying its disks."""

    shutdown_timeout: base.Natural = 120
    ignore_ipolicy: bool = False
    target_node: base.Text
    target_node_uuid: base.Text | None = None
    compress: str = "none"
    ignore_consistency: bool = False


class InstanceMultiAlloc(base.Opcode, tag="OP_INSTANCE_MULTI_ALLOC", frozen=True, kw_only=True):
    """Place and create several instances: answers with the jobs that do."""

    opportunistic_locking: bool = False
    iallocator: base.Text | None = None
    instances: list[Any] = []


class InstanceQueryData(base.Opcode, tag="OP_INSTANCE_QUERY_DATA", frozen=True, kw_only=True):
    """Answer everything about instances."""

    use_locking: bool = False
    instances: list[base.Text] = []
    static: bool = False


class InstanceReboot(base.OnInstance, tag="OP_INSTANCE_REBOOT", frozen=True, kw_only=True):
    """Reboot an instance."""

    shutdown_timeout: base.Natural = 120
    ignore_secondaries: bool = False
    reboot_type: Literal["full", "hard", "soft"]


class InstanceRecreateDisks(
    base.OnInstance, tag="OP_INSTANCE_RECREATE_DISKS", frozen=True, kw_only=True
):
    """Make disks anew that were lost."""

    disks: list[Any] = []
    nodes: list[base.Text] = []
    node_uuids: list[base.Text] | None = None
    iallocator: base.Text | None = None


class InstanceReinstall(base.OnInstance, tag="OP_INSTANCE_REINSTALL", frozen=True, kw_only=True):
    """Install an instance"s operating system again."""

    force_variant: bool = False
    os_type: base.Text | None = None
    osparams: base.Params | None = None
    osparams_private: base.Params | None = None
    osparams_secret: base.Params | None = None


class InstanceRemove(base.OnInstance, tag="OP_INSTANCE_REMOVE", frozen=True, kw_only=True):
    """Remove an instance and its disks."""

    shutdown_timeout: base.Natural = 120
    ignore_failures: bool = False


class InstanceRename(base.OnInstance, tag="OP_INSTANCE_RENAME", frozen=True, kw_only=True):
    """Give an instance another name."""

    said: ClassVar[str | None] = None
    new_name: base.Text
    name_check: bool = True
    ip_check: bool = True


class InstanceReplaceDisks(
    base.OnInstance, tag="OP_INSTANCE_REPLACE_DISKS", frozen=True, kw_only=True
):
    """Replace disks of an instance that has mirrors."""

    early_release: bool = False
    ignore_ipolicy: bool = False
    mode: Literal[
        "replace_auto", "replace_new_secondary", "replace_on_primary", "replace_on_secondary"
    ]
    disks: list[base.DiskIndex] = []
    remote_node: base.Text | None = None
    remote_node_uuid: base.Text | None = None
    iallocator: base.Text | None = None


class InstanceSetParams(base.OnInstance, tag="OP_INSTANCE_SET_PARAMS", frozen=True, kw_only=True):
    """Change an instance."""

    force: bool = False
    force_variant: bool = False
    ignore_ipolicy: bool = False
    nics: list[Any] = []
    disks: list[Any] = []
    beparams: base.Params = {}
    runtime_mem: base.Positive | None = None
    hvparams: base.Params = {}
    disk_template: base.Template | None = None
    ext_params: base.Params = {}
    file_driver: Literal["blktap", "blktap2", "loop"] | None = None
    file_storage_dir: base.Text | None = None
    pnode: base.Text | None = None
    pnode_uuid: base.Text | None = None
    remote_node: base.Text | None = None
    remote_node_uuid: base.Text | None = None
    iallocator: base.Text | None = None
    os_name: base.Text | None = None
    osparams: base.Params = {}
    osparams_private: base.Params | None = None
    wait_for_sync: bool = True
    offline: bool | None = None
    conflicts_check: bool = True
    hotplug: bool = False
    hotplug_if_possible: bool = False
    instance_communication: bool | None = None


class InstanceShutdown(base.OnInstance, tag="OP_INSTANCE_SHUTDOWN", frozen=True, kw_only=True):
    """Shut an instance down.

    ``only_if_down``: record that it is wanted down, if it fell and is still wanted to run.
    """

    force: bool = False
    ignore_offline_nodes: bool = False
    timeout: base.Natural = 120
    no_remember: bool = False
    admin_state_source: Literal["admin", "user"] | None = None
    only_if_down: base.Ours = msgspec.UNSET


class InstanceStartup(base.OnInstance, tag="OP_INSTANCE_STARTUP", frozen=True, kw_only=True):
    """Start an instance.

    ``only_if_down``: if it fell and is still wanted to run; otherwise there is nothing to do.
    """

    force: bool = False
    ignore_offline_nodes: bool = False
    hvparams: base.Params = {}
    beparams: base.Params = {}
    no_remember: bool = False
    startup_paused: bool = False
    shutdown_timeout: base.Natural = 120
    only_if_down: base.Ours = msgspec.UNSET
