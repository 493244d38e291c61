"""By what objects are found: a table keeps an index for each of these functions.

Each says an object's keys, pure and cheap, since it is called for every object once and again
whenever one changes.
"""

from collections.abc import Iterator

from pyganeti.model.config import names as shortening
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node

_DRBD_PORT = 2
"""Where a logical id of template drbd has the port."""


def names(named: shortening.Named) -> tuple[str, ...]:
    """Return an object's name, if it has one."""
    return (named.name,) if named.name else ()


def beginnings(named: shortening.Named) -> tuple[str, ...]:
    """Return what a name may be shortened to, in lower case."""
    return shortening.beginnings(named.name)


def groups(node: Node) -> tuple[str, ...]:
    """Return the uuid of a node's group."""
    return (node.group,)


def addresses(node: Node) -> tuple[str, ...]:
    """Return a node's addresses."""
    return tuple(dict.fromkeys((node.primary_ip, node.secondary_ip)))


def primary_nodes(instance: Instance) -> tuple[str, ...]:
    """Return the uuid of an instance's primary node."""
    return (instance.primary_node,) if instance.primary_node else ()


def disks(instance: Instance) -> tuple[str, ...]:
    """Return the uuids of an instance's disks."""
    return instance.disks


def macs(instance: Instance) -> tuple[str, ...]:
    """Return the MAC addresses of an instance's cards, in lower case."""
    return tuple(nic.mac.lower() for nic in instance.nics)


def nics(instance: Instance) -> tuple[str, ...]:
    """Return the uuids of an instance's cards."""
    return tuple(nic.uuid for nic in instance.nics)


def nic_addresses(instance: Instance) -> tuple[str, ...]:
    """Return the IP addresses of an instance's cards."""
    return tuple(nic.ip for nic in instance.nics if nic.ip)


def networks(instance: Instance) -> tuple[str, ...]:
    """Return the uuids of the networks that an instance's cards are connected to."""
    return tuple(nic.network for nic in instance.nics if nic.network)


def instance_ports(instance: Instance) -> tuple[str, ...]:
    """Return the port of an instance's display, if it has one."""
    return () if instance.network_port is None else (str(instance.network_port),)


def disk_ports(disk: Disk) -> tuple[str, ...]:
    """Return the ports on which a disk's nodes mirror it."""
    return tuple(str(part.logical_id[_DRBD_PORT]) for part in _mirrored(disk))


def minors(disk: Disk) -> tuple[str, ...]:
    """Return the device numbers that a disk has on the nodes that mirror it: ``UUID/NUMBER``."""
    found = []
    for part in _mirrored(disk):
        first, second, _, *numbers = part.logical_id
        found += [
            f"{node}/{number}" for node, number in zip((first, second), numbers, strict=False)
        ]
    return tuple(found)


def mirror_nodes(disk: Disk) -> tuple[str, ...]:
    """Return the uuids of the nodes between which a disk, or a part of it, is mirrored."""
    found = (str(uuid) for part in _mirrored(disk) for uuid in part.logical_id[:_DRBD_PORT])
    return tuple(dict.fromkeys(found))


def disk_nodes(disk: Disk) -> tuple[str, ...]:
    """Return the uuids of all nodes that a disk names."""
    return tuple(dict.fromkeys((*disk.nodes, *mirror_nodes(disk))))


def _mirrored(disk: Disk) -> Iterator[Disk]:
    for part in disk.with_children():
        if part.is_mirrored and len(part.logical_id) > _DRBD_PORT:
            yield part
