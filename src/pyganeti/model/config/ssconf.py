"""The cluster's simple settings, made from its configuration exactly as Ganeti 3.0 makes them.

Every node has them as files of one value or a few lines each; shell scripts, Ganeti's own programs
and our daemons read them where there is no configuration. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pyganeti.model.config import filling, names
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

RELEASE: Final = "3.0.2"
"""The release of Ganeti whose protocols and files these are."""

Values = dict[str, list[str]]
"""Lines by name, the name without the ssconf prefix: what the call write_ssconf_files takes."""

_HYPERVISORS: Final = ("chroot", "fake", "kvm", "lxc", "xen-hvm", "xen-pvm")
"""All that Ganeti knows: each has its file, empty if the cluster says nothing of it."""


def make(snapshot: Snapshot) -> Values:
    """Return every setting's lines."""
    cluster = snapshot.cluster
    by_uuid = [snapshot.nodes[uuid] for uuid in sorted(snapshot.nodes)]
    nodes = sorted(by_uuid, key=names.by_name)
    groups = sorted(snapshot.groups.values(), key=names.by_name)
    candidates = [
        node for node in by_uuid if node.master_candidate or node.uuid == cluster.master_node
    ]
    master = snapshot.nodes.get(cluster.master_node)
    instances = (instance.name for instance in snapshot.instances.values() if instance.name)
    values = {
        "cluster_name": [cluster.cluster_name],
        "cluster_tags": sorted(set(cluster.tags)),
        "enabled_user_shutdown": [str(cluster.enabled_user_shutdown)],
        "file_storage_dir": [cluster.file_storage_dir],
        "gluster_storage_dir": [cluster.gluster_storage_dir],
        "hypervisor_list": list(cluster.enabled_hypervisors),
        "instance_list": sorted(instances, key=names.sort_key),
        "maintain_node_health": [str(cluster.maintain_node_health)],
        "master_candidates": [node.name for node in candidates],
        "master_candidates_certs": _pairs(sorted(cluster.candidate_certs.items())),
        "master_candidates_ips": [node.primary_ip for node in candidates],
        "master_ip": [cluster.master_ip],
        "master_netdev": [cluster.master_netdev],
        "master_netmask": [str(cluster.master_netmask)],
        "master_node": ["NO MASTER" if master is None else master.name],
        "networks": [
            f"{uuid} {snapshot.networks[uuid].name}" for uuid in sorted(snapshot.networks)
        ],
        "node_list": [node.name for node in nodes],
        "node_primary_ips": [f"{node.name} {node.primary_ip}" for node in nodes],
        "node_secondary_ips": [f"{node.name} {node.secondary_ip}" for node in nodes],
        "node_vm_capable": _pairs((node.name, str(node.vm_capable)) for node in nodes),
        "nodegroups": [f"{group.uuid} {group.name}" for group in groups],
        "offline_nodes": [node.name for node in nodes if node.offline],
        "online_nodes": [node.name for node in nodes if not node.offline],
        "primary_ip_family": [str(cluster.primary_ip_family)],
        "release_version": [RELEASE],
        "shared_file_storage_dir": [cluster.shared_file_storage_dir],
        "ssh_ports": _pairs((node.name, _ssh_port(snapshot, node)) for node in nodes),
        "uid_pool": [
            str(low) if low == high else f"{low}-{high}" for low, high in cluster.uid_pool
        ],
    }
    for hypervisor in _HYPERVISORS:
        params: Mapping[str, Any] = cluster.hvparams.get(hypervisor, {})
        values[f"hvparams_{hypervisor}"] = _pairs(
            (name, _word(params[name])) for name in sorted(params)
        )
    return values


def _ssh_port(snapshot: Snapshot, node: Node) -> str:
    """Return the port, empty where the node's group is lost, as Ganeti does."""
    group = snapshot.groups.get(node.group)
    return "" if group is None else str(filling.node(snapshot.cluster, group, node)["ssh_port"])


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}={value}" for name, value in pairs]


def _word(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a parameter's value as Ganeti writes it: True and False, numbers, strings bare."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return msgspec.json.encode(value).decode()
