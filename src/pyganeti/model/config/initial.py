"""The configuration of a cluster that has just been made: one node, one group, and no instance.

Nothing is found out here and nothing drawn: names, addresses, uuids and the time are arguments, so
that the same arguments make the same cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model.config import codec, defaults, filling, macs, ports
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the cluster is to be like.

    ``master_ip`` belongs to the cluster, ``primary_ip`` to the node, whose ``secondary_ip`` is the
    same if it is empty. Parameters are what differs from the defaults. ``settings`` are any other
    fields of the cluster's, by Ganeti's names.
    """

    cluster_name: str
    node_name: str
    primary_ip: str
    master_ip: str
    master_netdev: str
    cluster_uuid: str
    group_uuid: str
    node_uuid: str
    now: float
    master_netmask: int = 32
    secondary_ip: str = ""
    mac_prefix: str = defaults.MAC_PREFIX
    enabled_hypervisors: tuple[str, ...] = ("kvm",)
    enabled_disk_templates: tuple[str, ...] = ("file", "sharedfile", "diskless")
    hvparams: Mapping[str, Params] = field(default_factory=dict)
    beparams: Params = field(default_factory=dict)
    nicparams: Params = field(default_factory=dict)
    ndparams: Params = field(default_factory=dict)
    diskparams: Mapping[str, Params] = field(default_factory=dict)
    ipolicy: Params = field(default_factory=dict)
    settings: Params = field(default_factory=dict)


_FURTHER: Final = (
    frozenset(Cluster.__struct_fields__)
    - frozenset(Wanted.__dataclass_fields__)
    - {"rest", "uuid", "master_node", "ctime", "mtime", "serial_no", "highest_used_port"}
)
"""The fields that ``settings`` may name."""


def make(wanted: Wanted) -> Snapshot:
    """Return the configuration; raises BadInput for what cannot be a cluster."""
    _check(wanted)
    node = Node(
        uuid=wanted.node_uuid,
        name=wanted.node_name,
        primary_ip=wanted.primary_ip,
        secondary_ip=wanted.secondary_ip or wanted.primary_ip,
        group=wanted.group_uuid,
        master_candidate=True,
        ctime=wanted.now,
        mtime=wanted.now,
    )
    group = NodeGroup(
        uuid=wanted.group_uuid, name=defaults.GROUP_NAME, ctime=wanted.now, mtime=wanted.now
    )
    return Snapshot(
        cluster=_with_settings(_cluster(wanted), wanted.settings),
        nodes=Table({node.uuid: node}),
        groups=Table({group.uuid: group}),
        ctime=wanted.now,
        mtime=wanted.now,
    )


def _cluster(wanted: Wanted) -> Cluster:
    bare = Cluster(
        uuid=wanted.cluster_uuid,
        cluster_name=wanted.cluster_name,
        master_node=wanted.node_uuid,
        master_ip=wanted.master_ip,
        master_netdev=wanted.master_netdev,
        master_netmask=wanted.master_netmask,
        mac_prefix=wanted.mac_prefix,
        highest_used_port=ports.FIRST - 1,
        candidate_pool_size=defaults.CANDIDATE_POOL_SIZE,
        compression_tools=defaults.COMPRESSION_TOOLS,
        enabled_hypervisors=wanted.enabled_hypervisors,
        enabled_disk_templates=wanted.enabled_disk_templates,
        hvparams=wanted.hvparams,
        hv_state_static={
            name: dict(defaults.HYPERVISOR_STATE) for name in wanted.enabled_hypervisors
        },
        beparams={"default": wanted.beparams},
        nicparams={"default": wanted.nicparams},
        ndparams={**defaults.NODE, **wanted.ndparams},
        diskparams=wanted.diskparams,
        max_running_jobs=defaults.MAX_RUNNING_JOBS,
        max_tracked_jobs=defaults.MAX_TRACKED_JOBS,
        data_collectors={name: dict(defaults.COLLECTOR) for name in defaults.COLLECTORS},
        ipolicy=wanted.ipolicy,
        ctime=wanted.now,
        mtime=wanted.now,
    )
    policy = filling.policy(bare)
    if "disk-templates" not in wanted.ipolicy:
        policy["disk-templates"] = sorted(wanted.enabled_disk_templates)
    return msgspec.structs.replace(
        bare,
        hvparams={
            name: filling.hypervisor_of_os(bare, name, "")
            for name in dict.fromkeys((*wanted.enabled_hypervisors, *wanted.hvparams))
        },
        beparams={"default": filling.backend(bare, {})},
        nicparams={"default": filling.nic(bare, {})},
        diskparams=filling.disk(bare),
        ipolicy=policy,
    )


def _with_settings(cluster: Cluster, settings: Params) -> Cluster:
    if not settings:
        return cluster
    described: dict[str, Any] = {**codec.to_wire(cluster), **settings}
    try:
        return codec.from_wire(described, Cluster)
    except errors.Damaged as error:
        raise errors.BadInput(f"the cluster's settings make no sense: {error}") from error


def _check(wanted: Wanted) -> None:
    macs.check_prefix(wanted.mac_prefix)
    for what in ("cluster_name", "node_name", "primary_ip", "master_ip", "master_netdev"):
        if not getattr(wanted, what):
            raise errors.BadInput(f"a cluster needs a {what}")
    for what in ("enabled_hypervisors", "enabled_disk_templates"):
        if not getattr(wanted, what):
            raise errors.BadInput(f"a cluster needs at least one of its {what}")
    templates = {*wanted.enabled_disk_templates, *wanted.diskparams}
    _refuse("disk templates", templates - defaults.DISKS.keys())
    for template, params in wanted.diskparams.items():
        _refuse(f"parameters of {template} disks", params.keys() - defaults.DISKS[template].keys())
    _refuse("backend parameters", wanted.beparams.keys() - defaults.BACKEND.keys())
    _refuse("NIC parameters", wanted.nicparams.keys() - defaults.NIC.keys())
    _refuse("node parameters", wanted.ndparams.keys() - defaults.NODE.keys())
    _refuse("keys of an instance policy", wanted.ipolicy.keys() - defaults.POLICY.keys())
    _refuse("settings of a cluster", wanted.settings.keys() - _FURTHER)


def _refuse(what: str, unknown: set[str]) -> None:
    if unknown:
        raise errors.BadInput(f"these are no {what}: " + ", ".join(sorted(unknown)))
