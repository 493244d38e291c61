"""What nodes are asked when a group is verified: the one call node_verify, as Ganeti fills it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from pyganeti.masterd.ops.verifying import files
from pyganeti.model.config import filling
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import storefile

_BRIDGED: Final = "bridged"
_FILE: Final = "file"
_SHARED_FILE: Final = "sharedfile"
_GLUSTER: Final = "gluster"

Question = dict[str, Any]


def ask(
    snapshot: Snapshot,
    group: NodeGroup,
    *,
    with_clutter: bool = False,
    store: storefile.Etcd | None = None,
) -> Question:
    """Return what the nodes of a group are asked; ``store`` is what the cluster is kept in."""
    cluster = snapshot.cluster
    nodes = snapshot.nodes_in(group)
    master = snapshot.master.name
    enabled = set(cluster.enabled_disk_templates)
    candidates = sorted(node.name for node in nodes if node.master_candidate and not node.offline)
    question: Question = {
        "filelist": files.wanted(snapshot).all,
        "hypervisor": list(cluster.enabled_hypervisors),
        "hvparms": [list(source) for source in parameters(snapshot)],
        "node-net-test": [
            [[node.name, node.primary_ip, node.secondary_ip] for node in nodes if not node.offline],
            candidates,
        ],
        "instancelist": list(cluster.enabled_hypervisors),
        "version": None,
        "hvinfo": cluster.enabled_hypervisors[0],
        "nodesetup": None,
        "time": None,
        "master-ip": [master, cluster.master_ip, candidates],
        "oslist": None,
        "nonvmnodes": sorted(node.name for node in snapshot.nodes.values() if not node.vm_capable),
        "user-scripts": [files.MASTER_SCRIPT] if cluster.use_external_mip_script else [],
        "client-cert": None,
    }
    if store is not None:  # ours: Ganeti's node daemons pass it over
        question["store"] = [list(store.endpoints), candidates]
    if cluster.modify_ssh_setup:
        question["nodelist"] = _ssh(snapshot, group, nodes, candidates)
        question["ssh-setup"] = [
            [
                [node.uuid, node.name, node.master_candidate, node.master_capable, not node.offline]
                for node in snapshot.nodes.values()
            ],
            cluster.ssh_key_type,
        ]
        if with_clutter:
            question["ssh-clutter"] = True
    if cluster.volume_group_name is not None:
        question["vglist"] = None
        question["lvlist"] = cluster.volume_group_name
        question["pvlist"] = [cluster.volume_group_name]
        if is_exclusive(snapshot, nodes):
            question["exclusive-pvs"] = True
    if enabled & {_FILE, _SHARED_FILE}:
        question["allowed-file-storage-paths"] = master
    if _FILE in enabled:
        question["file-storage-path"] = cluster.file_storage_dir
    if _SHARED_FILE in enabled:
        question["shared-file-storage-path"] = cluster.shared_file_storage_dir
    if _GLUSTER in enabled:
        question["gluster-storage-path"] = cluster.gluster_storage_dir
    if wanted := bridges(snapshot, nodes):
        question["bridges"] = wanted
    if programs := _out_of_band(snapshot):
        question["oob-paths"] = programs
    return question


def parameters(snapshot: Snapshot) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every set of hypervisor parameters: whose it is, of which hypervisor, filled."""
    cluster = snapshot.cluster
    for name in cluster.enabled_hypervisors:
        yield "cluster", name, filling.hypervisor_of_os(cluster, name, "")
    for os, hypervisors in cluster.os_hvp.items():
        for name, given in hypervisors.items():
            if given:
                yield f"os {os}", name, filling.hypervisor_of_os(cluster, name, os)
    for instance in _named(snapshot):
        if instance.hvparams:
            filled = filling.hypervisor_of(cluster, instance)
            yield f"instance {instance.name}", instance.hypervisor, filled


def all_parameters(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Return the cluster's parameters of each hypervisor, as the call takes them beside."""
    return {
        name: filling.hypervisor_of_os(cluster, name, "")
        for name in (*cluster.hvparams, *cluster.enabled_hypervisors)
    }


def bridges(snapshot: Snapshot, nodes: Iterable[Node]) -> list[str]:
    """Return which bridges the nodes of a group need: the default, and their instances'."""
    cluster = snapshot.cluster
    sets = [filling.nic(cluster, {})]
    for node in nodes:
        for instance in snapshot.instances_on(node):
            sets += [filling.nic(cluster, nic.nicparams) for nic in instance.nics]
    return sorted({params["link"] for params in sets if params["mode"] == _BRIDGED})


def is_exclusive(snapshot: Snapshot, nodes: Iterable[Node]) -> bool:
    """Tell whether any of these nodes gives instances physical disks to themselves."""
    return any(
        filling.node(snapshot.cluster, snapshot.group_of(node), node)["exclusive_storage"]
        for node in nodes
    )


def _ssh(
    snapshot: Snapshot, group: NodeGroup, nodes: Sequence[Node], candidates: list[str]
) -> list[Any]:
    """Return who logs in where: to all of the group, and to one node of every other."""
    online = sorted(node.name for node in nodes if not node.offline)
    others = sorted(
        (node.group, node.name)
        for node in snapshot.nodes.values()
        if node.group != group.uuid and not node.offline
    )
    elsewhere = [[name for _, name in of] for _, of in groupby(others, key=lambda one: one[0])]
    further = {
        name: sorted(of[place % len(of)] for of in elsewhere) for place, name in enumerate(online)
    }
    return [online, further, candidates]


def _out_of_band(snapshot: Snapshot) -> list[str]:
    """Return the programs that power nodes on and off, each once."""
    programs = (
        filling.node(snapshot.cluster, snapshot.group_of(node), node)["oob_program"]
        for node in snapshot.nodes.values()
    )
    return sorted({program for program in programs if program})


def _named(snapshot: Snapshot) -> list[Instance]:
    return [instance for instance in snapshot.instances.values() if not instance.forthcoming]
