"""What is wrong with one object of a configuration, seen with all the others.

Each function looks at one object and finds by indexes what it collides with or misses, so that a
change can be checked by looking at what it touched. Pure.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pyganeti.model.config import candidates, defaults, filling, keys
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import ADMIN_SOURCES, ADMIN_STATES, Instance, Nic
from pyganeti.model.config.network import Network
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NIC_MODES: Final = frozenset({"bridged", "openvswitch", "pool", "routed"})
_ACCESS: Final = frozenset({"kernelspace", "userspace"})
_HAVE_ACCESS: Final = ("ext", "gluster", "rbd")
_ALLOC_POLICIES: Final = frozenset({"last_resort", "preferred", "unallocable"})
_SPEC: Final = frozenset(defaults.POLICY["std"])


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    ``kind``, ``uuid`` and, for people, ``name`` say with which object. ``code`` is Ganeti's word
    for what kind of wrong. One that is not ``is_hard`` is worth telling and keeps nobody from a
    change.
    """

    kind: str
    uuid: str
    name: str
    text: str
    code: str = "wrong_input"
    is_hard: bool = True

    def __str__(self) -> str:
        return f"{self.kind} {self.name or self.uuid}: {self.text}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding, also when its object has got another name."""
        return self.kind, self.uuid, self.text


def of_cluster(snapshot: Snapshot, cluster: Cluster) -> Iterator[Finding]:
    """Yield what is wrong with the cluster itself."""
    for text in _of_cluster(snapshot, cluster):
        yield Finding(kind="cluster", uuid=cluster.uuid, name=cluster.cluster_name, text=text)
    used = snapshot.instances.index(keys.instance_ports), snapshot.disks.index(keys.disk_ports)
    pool = [str(port) for port in cluster.tcpudp_port_pool]
    for port in sorted(set(pool)):
        if pool.count(port) > 1 or any(port in index for index in used):
            yield Finding(
                kind="cluster", uuid=cluster.uuid, name=cluster.cluster_name,
                code="resource_not_unique", text=f"port {port} is marked as free and in use",
            )  # fmt: skip


def of_candidates(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield whether there are too few candidates. Looks at every node."""
    counted = candidates.count(snapshot)
    if counted.present < counted.wanted:
        yield Finding(
            kind="cluster", uuid=snapshot.cluster.uuid, name=snapshot.cluster.cluster_name,
            text=f"there are {counted.present} master candidates, and should be {counted.wanted}",
            is_hard=False, code="wrong_state",
        )  # fmt: skip


def of_highest_port(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield whether a port is higher than the highest. Looks at every port."""
    cluster = snapshot.cluster
    indexes = snapshot.instances.index(keys.instance_ports), snapshot.disks.index(keys.disk_ports)
    used = [int(port) for index in indexes for port in index if port.isdecimal()]
    highest = max((*used, *cluster.tcpudp_port_pool), default=0)
    if highest > cluster.highest_used_port:
        yield Finding(
            kind="cluster", uuid=cluster.uuid, name=cluster.cluster_name, is_hard=False,
            text=f"the highest port in use is {highest}, not {cluster.highest_used_port}",
        )  # fmt: skip


def of_node(snapshot: Snapshot, node: Node) -> Iterator[Finding]:
    """Yield what is wrong with a node."""

    def found(text: str, code: str = "wrong_input") -> Finding:
        return Finding(kind="node", uuid=node.uuid, name=node.name, text=text, code=code)

    for text in _names(snapshot.nodes.index(keys.names), node.name, "node"):
        yield found(text, "already_exists")
    roles = {"a master candidate": node.master_candidate, "drained": node.drained,
             "offline": node.offline}  # fmt: skip
    held = [role for role, is_held in roles.items() if is_held]
    if len(held) > 1:
        yield found(f"it cannot be {' and '.join(held)} at once", "wrong_state")
    if node.master_candidate and not node.master_capable:
        yield found("it is a master candidate and cannot be master", "wrong_state")
    if node.group not in snapshot.groups:
        yield found(f"its group {node.group!r} does not exist", "unknown_entity")
    for text in _types("node", defaults.NODE, node.ndparams):
        yield found(text)
    if used := sorted(defaults.NODE_GLOBALS & node.ndparams.keys()):
        yield found(f"it has parameters that only groups have: {', '.join(used)}")
    for address in keys.addresses(node):
        if len(snapshot.nodes.index(keys.addresses).get(address, ())) > 1:
            yield found(f"another node has the address {address}", "resource_not_unique")
        if address == snapshot.cluster.master_ip:
            same = found(f"its address {address} is the cluster's", "resource_not_unique")
            yield msgspec.structs.replace(same, is_hard=False)


def of_group(snapshot: Snapshot, group: NodeGroup) -> Iterator[Finding]:
    """Yield what is wrong with a node group."""

    def found(text: str, code: str = "wrong_input") -> Finding:
        return Finding(kind="group", uuid=group.uuid, name=group.name, text=text, code=code)

    for text in _names(snapshot.groups.index(keys.names), group.name, "node group"):
        yield found(text, "already_exists")
    if _UUID.fullmatch(group.name.lower()):
        yield found("its name looks like a uuid")
    if group.alloc_policy not in _ALLOC_POLICIES:
        yield found(f"{group.alloc_policy!r} is no allocation policy")
    for text in _types("node", defaults.NODE, group.ndparams):
        yield found(text)
    for text in _policy(filling.policy(snapshot.cluster, group), is_cluster=False):
        yield found(text)
    for uuid in group.networks:
        if uuid not in snapshot.networks:
            yield found(f"its network {uuid} does not exist", "unknown_entity")


def of_instance(snapshot: Snapshot, instance: Instance) -> Iterator[Finding]:
    """Yield what is wrong with an instance."""

    def found(text: str, code: str = "wrong_input") -> Finding:
        return Finding(
            kind="instance", uuid=instance.uuid, name=instance.name, text=text, code=code
        )

    if instance.name or not instance.forthcoming:
        for text in _names(snapshot.instances.index(keys.names), instance.name, "instance"):
            yield found(text, "already_exists")
    if instance.primary_node not in snapshot.nodes and (
        instance.primary_node or not instance.forthcoming
    ):
        yield found(f"its primary node {instance.primary_node!r} does not exist", "unknown_entity")
    if instance.admin_state not in ADMIN_STATES:
        yield found(f"{instance.admin_state!r} is no state to be in")
    if instance.admin_state_source not in ADMIN_SOURCES:
        yield found(f"{instance.admin_state_source!r} is nobody who wants a state")
    for text in _types("backend", defaults.BACKEND, instance.beparams):
        yield found(text)
    for text, code in (*_disks(snapshot, instance), *_ports(snapshot, instance)):
        yield found(text, code)
    for place, nic in enumerate(instance.nics):
        for text, code in _nic(snapshot, nic):
            yield found(f"NIC {place}: {text}", code)


def of_disk(snapshot: Snapshot, disk: Disk) -> Iterator[Finding]:
    """Yield what is wrong with a disk."""

    def found(text: str, code: str = "wrong_input") -> Finding:
        return Finding(
            kind="disk", uuid=disk.uuid or "", name=disk.name or "", text=text, code=code
        )

    if disk.mode not in {"ro", "rw"}:
        yield found(f"{disk.mode!r} is no mode of a disk")
    if disk.size < 0:
        yield found(f"it has a size of {disk.size} MiB")
    for uuid in keys.disk_nodes(disk):
        if uuid not in snapshot.nodes:
            yield found(f"its node {uuid} does not exist", "unknown_entity")
    for minor in keys.minors(disk):
        if len(snapshot.disks.index(keys.minors).get(minor, ())) > 1:
            yield found(f"another disk has the device number {minor}", "resource_not_unique")
    for port in keys.disk_ports(disk):
        users = snapshot.disks.index(keys.disk_ports).get(port, ())
        shown = snapshot.instances.index(keys.instance_ports)
        if len(users) > 1 or port in shown or port in _pool(snapshot):
            yield found(f"its port {port} is not its alone", "resource_not_unique")


def of_network(snapshot: Snapshot, network: Network) -> Iterator[Finding]:
    """Yield what is wrong with a network."""

    def found(text: str, code: str = "wrong_input") -> Finding:
        return Finding(kind="network", uuid=network.uuid, name=network.name, text=text, code=code)

    for text in _names(snapshot.networks.index(keys.names), network.name, "network"):
        yield found(text, "already_exists")
    try:
        size = ipaddress.IPv4Network(network.network).num_addresses
    except ValueError:
        yield found(f"{network.network!r} is no range of IPv4 addresses")
        return
    for bits in (network.reservations, network.ext_reservations):
        if bits is not None and (len(bits) != size or set(bits) - {"0", "1"}):
            yield found("its reservations do not fit its range")


def of_filter(_: Snapshot, rule: FilterRule) -> Iterator[Finding]:
    """Yield what is wrong with a rule about jobs."""
    if rule.priority < 0:
        yield Finding(kind="filter", uuid=rule.uuid, name="", text="its priority is below zero")


def _of_cluster(snapshot: Snapshot, cluster: Cluster) -> Iterator[str]:
    if not cluster.enabled_hypervisors:
        yield "no hypervisor is enabled"
    for name in cluster.enabled_hypervisors:
        if name not in cluster.hvparams:
            yield f"it has no parameters for the hypervisor {name}"
    if not cluster.enabled_disk_templates:
        yield "no disk template is enabled"
    if unknown := sorted(set(cluster.enabled_disk_templates) - defaults.DISKS.keys()):
        yield f"these are no disk templates: {', '.join(unknown)}"
    master = snapshot.nodes.get(cluster.master_node)
    if master is None:
        yield f"its master {cluster.master_node!r} is none of its nodes"
    elif not master.master_candidate:
        yield f"its master {master.name} is no master candidate"
    nic = filling.nic(cluster, {})
    yield from _types("NIC", defaults.NIC, nic)
    yield from _nic_params(nic)
    yield from _types("backend", defaults.BACKEND, filling.backend(cluster, {}))
    yield from _types("node", defaults.NODE, cluster.ndparams)
    yield from _policy(filling.policy(cluster), is_cluster=True)
    for template in _HAVE_ACCESS:
        access = filling.disk(cluster)[template].get("access")
        if access not in _ACCESS:
            yield f"{access!r} is no access to {template} disks"


def _disks(snapshot: Snapshot, instance: Instance) -> Iterator[tuple[str, str]]:
    for place, uuid in enumerate(instance.disks):
        disk = snapshot.disks.get(uuid)
        if disk is None:
            yield f"its disk {uuid} does not exist", "unknown_entity"
            continue
        if disk.iv_name != f"disk/{place}":
            yield f"its disk {place} is called {disk.iv_name!r}", "wrong_input"
        if len(snapshot.instances.index(keys.disks).get(uuid, ())) > 1:
            yield f"its disk {uuid} is attached more than once", "resource_not_unique"


def _ports(snapshot: Snapshot, instance: Instance) -> Iterator[tuple[str, str]]:
    for port in keys.instance_ports(instance):
        users = snapshot.instances.index(keys.instance_ports).get(port, ())
        mirrors = snapshot.disks.index(keys.disk_ports)
        if len(users) > 1 or port in mirrors or port in _pool(snapshot):
            yield f"its port {port} is not its alone", "resource_not_unique"


def _nic(snapshot: Snapshot, nic: Nic) -> Iterator[tuple[str, str]]:
    if len(snapshot.instances.index(keys.macs).get(nic.mac.lower(), ())) > 1:
        yield f"the MAC address {nic.mac} is not its alone", "resource_not_unique"
    if len(snapshot.instances.index(keys.nics).get(nic.uuid, ())) > 1:
        yield f"its uuid {nic.uuid} is not its alone", "resource_not_unique"
    if nic.network and nic.network not in snapshot.networks:
        yield f"its network {nic.network} does not exist", "unknown_entity"
    if nic.nicparams:
        filled = filling.nic(snapshot.cluster, nic.nicparams)
        for text in (*_types("NIC", defaults.NIC, nic.nicparams), *_nic_params(filled)):
            yield text, "wrong_input"
    if not nic.ip:
        return
    here = _link(snapshot, nic)
    same = 0
    for uuid in dict.fromkeys(snapshot.instances.index(keys.nic_addresses).get(nic.ip, ())):
        other = snapshot.instances[uuid]
        same += sum(1 for one in other.nics if one.ip == nic.ip and _link(snapshot, one) == here)
    if same > 1:
        yield f"the IP address {nic.ip} on {here[1]} is not its alone", "resource_not_unique"


def _link(snapshot: Snapshot, nic: Nic) -> tuple[str, str, str | None]:
    """Return within what a card's address has to be unique."""
    filled = filling.nic(snapshot.cluster, nic.nicparams)
    return filled["mode"], filled["link"], nic.network


def _pool(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(map(str, snapshot.cluster.tcpudp_port_pool))


def _names(index: Mapping[str, Sequence[str]], name: str, kind: str) -> Iterator[str]:
    if not name:
        yield f"the {kind} has no name"
    elif len(index.get(name, ())) > 1:
        yield f"there is another {kind} of that name"


def _nic_params(filled: Params) -> Iterator[str]:
    mode = filled["mode"]
    if mode not in _NIC_MODES:
        yield f"{mode!r} is no mode of a NIC"
    elif mode == "bridged" and not filled["link"]:
        yield "a bridged NIC needs a link"


def _types(what: str, right: Params, given: Params) -> Iterator[str]:
    """Yield which parameters are not of the type that their defaults have."""
    for name, value in given.items():
        if name not in right:
            yield f"there is no {what} parameter {name!r}"
        elif not _is_like(value, right[name]):
            yield f"the {what} parameter {name} cannot be {value!r}"


def _is_like(value: Any, right: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(right, bool) or isinstance(value, bool):
        return isinstance(right, bool) and isinstance(value, bool)
    if isinstance(right, float):
        return isinstance(value, int | float)
    return isinstance(value, type(right))


def _policy(policy: Params, *, is_cluster: bool) -> Iterator[str]:
    """Yield what is wrong with a filled instance policy; only the cluster's has to fit itself."""
    if unknown := sorted(policy.keys() - defaults.POLICY.keys()):
        yield f"an instance policy has no {', '.join(unknown)}"
    for name in ("spindle-ratio", "vcpu-ratio"):
        if not _is_like(policy[name], 1.0):
            yield f"the {name} of an instance policy is a number, not {policy[name]!r}"
    templates = policy["disk-templates"]
    if not isinstance(templates, Iterable) or not templates:
        yield "an instance policy needs disk templates"
    elif wrong := sorted(set(map(str, templates)) - defaults.DISKS.keys()):
        yield f"these are no disk templates: {', '.join(wrong)}"
    limits = policy["minmax"]
    if not isinstance(limits, Sequence) or not limits:
        yield "an instance policy needs limits"
        return
    fits = False
    for limit in limits:
        if not isinstance(limit, Mapping) or any(
            not _is_spec(limit.get(end)) for end in ("min", "max")
        ):
            yield "an instance policy's limits need a whole min and a whole max"
            return
        if wrong := sorted(name for name in _SPEC if limit["min"][name] > limit["max"][name]):
            yield f"an instance policy's min is above its max for {', '.join(wrong)}"
        fits = fits or all(
            limit["min"][name] <= policy["std"].get(name, limit["min"][name]) <= limit["max"][name]
            for name in _SPEC
        )
    if is_cluster and not fits:
        yield "the standard instance of the policy is outside all its limits"


def _is_spec(spec: Any) -> bool:  # noqa: ANN401 - JSON
    return (
        isinstance(spec, Mapping)
        and spec.keys() >= _SPEC
        and all(_is_like(spec[name], 1) for name in _SPEC)
    )
