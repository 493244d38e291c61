"""The sub-command ``gnt-cluster info``."""

from typing import Any

import click

from pyganeti.cli import details, policies, recoverypolicy, session, tables


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the wire's names.")
@click.pass_obj
def command(current: session.Session, *, as_json: bool) -> None:
    """Tell everything about the cluster and the parameters that all inherit."""
    info = current.client.query_cluster_info()
    if as_json:
        current.out_json(info)
        return
    for line in details.lines(_about(info)):
        current.out(line)


def _about(info: dict[str, Any]) -> details.Pairs:
    enabled = info["enabled_hypervisors"]
    collectors = [
        (
            name,
            [
                ("active", active),
                ("interval", f"{info['data_collector_interval'][name] / 1e6:.3f}s"),
            ],
        )
        for name, active in sorted(info["enabled_data_collectors"].items())
    ]
    return [
        ("Cluster name", info["name"]),
        ("Cluster UUID", info["uuid"]),
        ("Creation time", tables.moment(info["ctime"])),
        ("Modification time", tables.moment(info["mtime"])),
        ("Master node", info["master"]),
        *_leadership(info.get("leadership") or {}),
        ("Architecture (this node)", "{} ({})".format(*info["architecture"])),
        ("Tags", _listed(sorted(info["tags"]))),
        ("Default hypervisor", info["default_hypervisor"]),
        ("Enabled hypervisors", _listed(enabled)),
        (
            "Hypervisor parameters",
            _sorted({name: info["hvparams"].get(name, {}) for name in enabled}),
        ),
        ("OS-specific hypervisor parameters", _sorted(info["os_hvp"])),
        ("OS parameters", _sorted(info["osparams"])),
        ("Hidden OSes", _listed(info["hidden_os"])),
        ("Blacklisted OSes", _listed(info["blacklisted_os"])),
        ("Cluster parameters", _parameters(info)),
        ("Default node parameters", _sorted(info["ndparams"])),
        ("Default instance parameters", _sorted(info["beparams"])),
        ("Default nic parameters", _sorted(info["nicparams"])),
        ("Default disk parameters", _sorted(info["diskparams"])),
        ("Instance policy - limits for instances", policies.told(info["ipolicy"])),
        (recoverypolicy.TITLE, recoverypolicy.of_cluster(info, {}).told()),
        ("Data collectors", collectors),
    ]


def _leadership(told: dict[str, Any]) -> details.Pairs:
    """Return what the cluster is kept in and who leads it, if the master says that."""
    if not told:
        return []
    pairs: list[tuple[str, Any]] = [
        ("store", told["store"]),
        ("leader", told["leader"]),
        ("epoch", told["epoch"]),
        ("standing", f"{told['standing']} since {tables.moment(told['since'])}: {told['why']}"),
    ]
    if "lease_left" in told:
        pairs += [
            ("lease", f"{told['lease_left']:.1f} of {told['lease_seconds']} s left"),
            ("standing by", _listed(told["standbys"])),
            ("etcd", _listed(told["endpoints"])),
            ("keys below", told["prefix"]),
        ]
    return [("Leadership", pairs)]


def _parameters(info: dict[str, Any]) -> details.Pairs:
    named = [
        ("candidate pool size", "candidate_pool_size"),
        ("maximal number of jobs running simultaneously", "max_running_jobs"),
        ("maximal number of jobs simultaneously tracked by the scheduler", "max_tracked_jobs"),
        ("mac prefix", "mac_prefix"),
        ("master netdev", "master_netdev"),
        ("master netmask", "master_netmask"),
        ("use external master IP address setup script", "use_external_mip_script"),
        ("lvm volume group", "volume_group_name"),
        ("lvm reserved volumes", "reserved_lvs"),
        ("drbd usermode helper", "drbd_usermode_helper"),
        ("file storage path", "file_storage_dir"),
        ("shared file storage path", "shared_file_storage_dir"),
        ("gluster storage path", "gluster_storage_dir"),
        ("maintenance of node health", "maintain_node_health"),
        ("uid pool", "uid_pool"),
        ("default instance allocator", "default_iallocator"),
        ("default instance allocator parameters", "default_iallocator_params"),
        ("primary ip version", "primary_ip_version"),
        ("preallocation wipe disks", "prealloc_wipe_disks"),
        ("enabled disk templates", "enabled_disk_templates"),
        ("install image", "install_image"),
        ("instance communication network", "instance_communication_network"),
        ("zeroing image", "zeroing_image"),
        ("compression tools", "compression_tools"),
        ("enabled user shutdown", "enabled_user_shutdown"),
        ("modify ssh setup", "modify_ssh_setup"),
        ("ssh_key_type", "ssh_key_type"),
        ("ssh_key_bits", "ssh_key_bits"),
    ]
    return [(title, _shown(name, info[name])) for title, name in named]


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if name == "uid_pool":
        value = [str(low) if low == high else f"{low}-{high}" for low, high in value]
    if isinstance(value, list):
        return _listed(value)
    return _sorted(value) if isinstance(value, dict) else value


def _listed(values: list[str]) -> str:
    return ", ".join(values) or "(none)"


def _sorted(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return objects as pairs in the order of their names, all the way down."""
    if isinstance(value, dict):
        return [(name, _sorted(one)) for name, one in sorted(value.items())]
    return value
