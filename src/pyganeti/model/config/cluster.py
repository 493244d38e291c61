"""The cluster itself: who is master, what is allowed, and the parameters that everything inherits.

``hvparams``, ``beparams``, ``nicparams``, ``ndparams``, ``diskparams`` and ``ipolicy`` are what
`filling` puts below the parameters of groups, nodes and instances.
"""

from collections.abc import Mapping

from pyganeti.model.config import record
from pyganeti.model.config.record import Params, written


class Cluster(record.Record, frozen=True, kw_only=True):
    """The one cluster of a configuration; ``master_node`` is a node's uuid.

    ``tcpudp_port_pool`` are ports given back; ``highest_used_port`` is where new ones come from.
    ``candidate_certs`` has, by a node's uuid, the digest of the certificate with which it may call
    others. ``uid_pool`` are ranges, both ends included.
    """

    rsahostkeypub: str = written("")
    dsahostkeypub: str | None = None
    highest_used_port: int = written(10999)
    tcpudp_port_pool: tuple[int, ...] = written(())
    mac_prefix: str = written("aa:00:00")
    volume_group_name: str | None = None
    reserved_lvs: tuple[str, ...] = written(())
    drbd_usermode_helper: str | None = None
    master_node: str
    master_ip: str
    master_netdev: str
    master_netmask: int = written(32)
    use_external_mip_script: bool = written(default=False)
    cluster_name: str
    file_storage_dir: str = written("")
    shared_file_storage_dir: str = written("")
    gluster_storage_dir: str = written("")
    enabled_hypervisors: tuple[str, ...] = written(("kvm",))
    hvparams: Mapping[str, Params] = written({})
    os_hvp: Mapping[str, Mapping[str, Params]] = written({})
    beparams: Mapping[str, Params] = written({})
    osparams: Mapping[str, Params] = written({})
    osparams_private_cluster: Mapping[str, Params] = written({})
    nicparams: Mapping[str, Params] = written({})
    ndparams: Params = written({})
    diskparams: Mapping[str, Params] = written({})
    candidate_pool_size: int = written(10)
    modify_etc_hosts: bool = written(default=True)
    modify_ssh_setup: bool = written(default=True)
    maintain_node_health: bool = written(default=False)
    uid_pool: tuple[tuple[int, int], ...] = written(())
    default_iallocator: str = written("")
    default_iallocator_params: Params = written({})
    hidden_os: tuple[str, ...] = written(())
    blacklisted_os: tuple[str, ...] = written(())
    primary_ip_family: int = written(2)
    prealloc_wipe_disks: bool = written(default=False)
    ipolicy: Params = written({})
    hv_state_static: Params = written({})
    disk_state_static: Params = written({})
    enabled_disk_templates: tuple[str, ...] = written(())
    candidate_certs: Mapping[str, str] = written({})
    max_running_jobs: int = written(20)
    max_tracked_jobs: int = written(25)
    install_image: str = written("")
    instance_communication_network: str = written("")
    zeroing_image: str = written("")
    compression_tools: tuple[str, ...] = written(("gzip", "gzip-fast", "gzip-slow"))
    enabled_user_shutdown: bool = written(default=False)
    data_collectors: Mapping[str, Params] = written({})
    ssh_key_type: str = written("rsa")
    ssh_key_bits: int = written(2048)
    ctime: float = written(0.0)
    mtime: float = written(0.0)
    uuid: str
    serial_no: int = written(1)
    tags: tuple[str, ...] = written(())

    @property
    def name(self) -> str:
        """The cluster's name, under which the master's address is known."""
        return self.cluster_name
