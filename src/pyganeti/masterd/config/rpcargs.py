"""What a node is told about instances, disks and cards: everything filled in, nothing to look up.

Pure; key for key what a real Ganeti 3.0 master sends. A node's own view of the same is
`model.instance` and `model.disk`. What comes back is a new dict that its caller may change.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model.config import codec, filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot

Wire = dict[str, Any]

_DRBD: Final = {
    "resync-rate": "resync-rate",
    "disabled-barriers": "disk-barriers",
    "disable-meta-flush": "meta-barriers",
    "default-metavg": "metavg",
    "disk-custom": "disk-custom",
    "net-custom": "net-custom",
    "protocol": "protocol",
    "dynamic-resync": "dynamic-resync",
    "c-plan-ahead": "c-plan-ahead",
    "c-fill-target": "c-fill-target",
    "c-delay-target": "c-delay-target",
    "c-max-rate": "c-max-rate",
    "c-min-rate": "c-min-rate",
}
"""What a node calls the parameters of a mirrored disk, and what an administrator does."""

_STRIPES: Final = ("data-stripes", "meta-stripes")
"""How the two volumes under a mirrored disk are laid out."""


def instance_for_node(
    snapshot: Snapshot,
    instance: Instance,
    node: Node | None = None,
    *,
    hvparams: Params | None = None,
    beparams: Params | None = None,
    osparams: Params | None = None,
    admin_state: str | None = None,
) -> Wire:
    """Return an instance as a node is told about it; ``node`` is who is told, else the primary.

    Parameters given hold above the instance's own, for this once; so does ``admin_state``.
    """
    cluster = snapshot.cluster
    told = codec.to_wire(instance)
    told["hvparams"] = {**filling.hypervisor_of(cluster, instance), **(hvparams or {})}
    told["beparams"] = {**filling.backend(cluster, instance.beparams), **(beparams or {})}
    told["osparams"] = {
        **filling.operating_system(cluster, instance.os, instance.osparams),
        **(osparams or {}),
    }
    if admin_state is not None:
        told["admin_state"] = admin_state
    told["nics"] = [nic_for_node(snapshot, nic) for nic in instance.nics]
    told["secondary_nodes"] = list(snapshot.secondaries_of(instance))
    told["disks_info"] = [
        disk_for_node(snapshot, instance, disk, node) for disk in snapshot.disks_of(instance)
    ]
    return told


def disk_for_node(
    snapshot: Snapshot, instance: Instance, disk: Disk, node: Node | None = None
) -> Wire:
    """Return one of an instance's disks as a node is told about it, its parameters filled in.

    ``node`` is who is told, else the instance's primary. Raises Damaged if a mirrored disk names
    nodes that do not exist.
    """
    primary = snapshot.nodes.get(instance.primary_node)
    group = None if primary is None else snapshot.groups.get(primary.group)
    params = filling.disk(snapshot.cluster, group)
    target = instance.primary_node if node is None else node.uuid
    told = codec.to_wire(disk)
    told["params"] = {**_params_of(disk, params), **disk.params}
    if disk.is_mirrored:
        for child, name in zip(told["children"], _STRIPES, strict=False):
            child["params"] = {"stripes": params["drbd"][name], **child.get("params", {})}
    told["dynamic_params"] = _addresses(snapshot, disk, target) if disk.is_mirrored else {}
    return told


def nic_for_node(snapshot: Snapshot, nic: Nic) -> Wire:
    """Return a network card as a node is told about it: parameters filled in, its network beside.

    Raises Damaged if its network does not exist.
    """
    told = codec.to_wire(nic)
    told["nicparams"] = filling.nic(snapshot.cluster, nic.nicparams)
    if nic.network:
        try:
            told["netinfo"] = codec.to_wire(snapshot.networks[nic.network])
        except KeyError as error:
            raise errors.Damaged(f"the network of card {nic.uuid} does not exist") from error
    return told


def console_request(snapshot: Snapshot, instance: Instance, node: Node) -> Wire:
    """Return what a node wants to know to say how one gets to an instance's console."""
    return {
        "instance": codec.to_wire(instance),
        "node": codec.to_wire(node),
        "group": codec.to_wire(snapshot.group_of(node)),
        "hvParams": filling.hypervisor_of(snapshot.cluster, instance),
        "beParams": filling.backend(snapshot.cluster, instance.beparams),
    }


def master_address(snapshot: Snapshot) -> Wire:
    """Return what the calls about the master's address take."""
    cluster = snapshot.cluster
    return {
        "uuid": cluster.master_node,
        "ip": cluster.master_ip,
        "netmask": cluster.master_netmask,
        "netdev": cluster.master_netdev,
        "ip_family": cluster.primary_ip_family,
    }


def hypervisors(snapshot: Snapshot) -> list[list[Any]]:
    """Return each enabled hypervisor with the cluster's parameters, as node_info takes them."""
    cluster = snapshot.cluster
    return [
        [name, filling.hypervisor_of_os(cluster, name, "")] for name in cluster.enabled_hypervisors
    ]


def storage_units(
    snapshot: Snapshot, node: Node, units: Iterable[tuple[str, str]]
) -> list[list[Any]]:
    """Return kinds and names of storage as node_info takes them: with what a node must know.

    Volume groups go with whether instances have physical disks to themselves, and are then asked
    for their physical volumes too.
    """
    filled = filling.node(snapshot.cluster, snapshot.group_of(node), node)
    is_exclusive = bool(filled["exclusive_storage"])
    found: list[list[Any]] = []
    for kind, name in units:
        if kind != "lvm-vg":
            found.append([kind, name, []])
            continue
        found.append([kind, name, [is_exclusive]])
        if is_exclusive:
            found.append(["lvm-pv", name, [is_exclusive]])
    return found


def _params_of(disk: Disk, params: Mapping[str, Params]) -> Wire:
    """Return a disk's parameters by the names that nodes know."""
    of_template = params[disk.dev_type.value]
    if disk.is_mirrored:
        return {told: of_template[name] for told, name in _DRBD.items()}
    return dict(of_template)


def _addresses(snapshot: Snapshot, disk: Disk, target: str) -> Wire:
    """Return which way a mirrored disk's node finds the other one; empty for a third node."""
    first, second, _, first_minor, second_minor, *_ = disk.logical_id
    try:
        addresses = [snapshot.nodes[uuid].secondary_ip for uuid in (first, second)]
    except KeyError as error:
        raise errors.Damaged(f"a node of disk {disk.uuid} does not exist") from error
    minors = [first_minor, second_minor]
    if target == second:
        addresses.reverse()
        minors.reverse()
    elif target != first:
        return {}
    return {
        "local-ip": addresses[0],
        "remote-ip": addresses[1],
        "local-minor": minors[0],
        "remote-minor": minors[1],
    }
