"""Opcodes on the cluster as a whole."""

from typing import ClassVar, Literal

from pyganeti.model.opcodes import base


class ClusterActivateMasterIp(
    base.Opcode, tag="OP_CLUSTER_ACTIVATE_MASTER_IP", frozen=True, kw_only=True
):
    """Have the master take the cluster"s address."""


class ClusterConfigQuery(base.Opcode, tag="OP_CLUSTER_CONFIG_QUERY", frozen=True, kw_only=True):
    """Answer values of the configuration."""

    output_fields: list[base.Text]


class ClusterDeactivateMasterIp(
    base.Opcode, tag="OP_CLUSTER_DEACTIVATE_MASTER_IP", frozen=True, kw_only=True
):
    """Have the master give the cluster"s address up."""


class ClusterDestroy(base.Opcode, tag="OP_CLUSTER_DESTROY", frozen=True, kw_only=True):
    """Take the cluster apart; its last node forgets it."""


class ClusterPostInit(base.Opcode, tag="OP_CLUSTER_POST_INIT", frozen=True, kw_only=True):
    """Run the hooks of a cluster just made."""


class ClusterQuery(base.Opcode, tag="OP_CLUSTER_QUERY", frozen=True, kw_only=True):
    """Answer what the cluster is."""


class ClusterRedistConf(base.Opcode, tag="OP_CLUSTER_REDIST_CONF", frozen=True, kw_only=True):
    """Send the configuration to every node again."""


class ClusterRename(base.Opcode, tag="OP_CLUSTER_RENAME", frozen=True, kw_only=True):
    """Give the cluster another name."""

    said: ClassVar[str | None] = "name"
    name: base.Text


class ClusterRenewCrypto(base.Opcode, tag="OP_CLUSTER_RENEW_CRYPTO", frozen=True, kw_only=True):
    """Make new certificates and keys for the nodes."""

    node_certificates: bool = False
    renew_ssh_keys: bool = False
    ssh_key_type: Literal["dsa", "ecdsa", "rsa"] | None = None
    ssh_key_bits: base.Positive | None = None
    verbose: bool = False
    debug: bool = False


class ClusterRepairDiskSizes(
    base.Opcode, tag="OP_CLUSTER_REPAIR_DISK_SIZES", frozen=True, kw_only=True
):
    """Correct the recorded sizes of disks."""

    instances: list[base.Text] = []


class ClusterSetParams(base.Opcode, tag="OP_CLUSTER_SET_PARAMS", frozen=True, kw_only=True):
    """Change the cluster"s parameters."""

    force: bool = False
    hv_state: base.Params | None = None
    disk_state: base.Params | None = None
    vg_name: str | None = None
    enabled_hypervisors: list[base.HypervisorName] | None = None
    hvparams: dict[str, base.Params] | None = None
    beparams: base.Params | None = None
    os_hvp: dict[str, base.Params] | None = None
    osparams: dict[str, base.Params] | None = None
    osparams_private_cluster: dict[str, base.Params] | None = None
    diskparams: dict[str, base.Params] | None = None
    candidate_pool_size: base.Positive | None = None
    max_running_jobs: base.Positive | None = None
    max_tracked_jobs: base.Positive | None = None
    uid_pool: list[tuple[int, int]] | None = None
    add_uids: list[tuple[int, int]] | None = None
    remove_uids: list[tuple[int, int]] | None = None
    maintain_node_health: bool | None = None
    prealloc_wipe_disks: bool | None = None
    nicparams: base.Params | None = None
    ndparams: base.Params | None = None
    ipolicy: base.Params | None = None
    drbd_helper: str | None = None
    default_iallocator: str | None = None
    default_iallocator_params: base.Params | None = None
    mac_prefix: base.Text | None = None
    master_netdev: str | None = None
    master_netmask: base.Natural | None = None
    reserved_lvs: list[base.Text] | None = None
    hidden_os: list[tuple[str, str]] | None = None
    blacklisted_os: list[tuple[str, str]] | None = None
    use_external_mip_script: bool | None = None
    enabled_disk_templates: list[base.Template] | None = None
    modify_etc_hosts: bool | None = None
    file_storage_dir: str | None = None
    shared_file_storage_dir: str | None = None
    gluster_storage_dir: str | None = None
    install_image: str | None = None
    instance_communication_network: str | None = None
    zeroing_image: str | None = None
    compression_tools: list[base.Text] | None = None
    enabled_user_shutdown: bool | None = None
    enabled_data_collectors: dict[str, bool] | None = None
    data_collector_interval: dict[str, int] | None = None


class ClusterVerify(base.Opcode, tag="OP_CLUSTER_VERIFY", frozen=True, kw_only=True):
    """Verify everything: answers with the jobs that do."""

    debug_simulate_errors: bool = False
    error_codes: bool = False
    skip_checks: list[str] = []
    ignore_errors: list[str] = []
    verbose: bool = False
    group_name: base.Text | None = None
    verify_clutter: bool = False


class ClusterVerifyConfig(base.Opcode, tag="OP_CLUSTER_VERIFY_CONFIG", frozen=True, kw_only=True):
    """Verify the configuration by itself."""

    debug_simulate_errors: bool = False
    error_codes: bool = False
    ignore_errors: list[str] = []
    verbose: bool = False


class ClusterVerifyDisks(base.Opcode, tag="OP_CLUSTER_VERIFY_DISKS", frozen=True, kw_only=True):
    """Look for instances with missing disks: answers with the jobs that do."""

    group_name: base.Text | None = None


class ClusterVerifyGroup(base.Opcode, tag="OP_CLUSTER_VERIFY_GROUP", frozen=True, kw_only=True):
    """Verify a node group against what its nodes say."""

    said: ClassVar[str | None] = "group_name"
    group_name: base.Text
    debug_simulate_errors: bool = False
    error_codes: bool = False
    skip_checks: list[str] = []
    ignore_errors: list[str] = []
    verbose: bool = False
    verify_clutter: bool = False
