"""An edit of the configuration in the making: what is put and removed, and what that raises.

Serial numbers and times are raised exactly where Ganeti raises them. A change to an object raises
its own, unless nothing but quiet fields changed; nodes raise the cluster's too, and so does what
comes or goes and is in the nodes' simple settings. An edit raises each number once, whatever it
puts how often.

Read from the draft what you put: an object is put with the serial number it had when it was read,
and if the draft has a later one, `Draft.put` refuses it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config.store import Conflict
from pyganeti.model.config import addresses, keys, macs, ports
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.network import Network
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Record
from pyganeti.model.config.snapshot import Snapshot

R = TypeVar("R", bound=Record)

SECTIONS: Final[Mapping[type[Record], str]] = {
    Node: "nodes",
    NodeGroup: "groups",
    Instance: "instances",
    Network: "networks",
    Disk: "disks",
    FilterRule: "filters",
}
"""Which table of a snapshot holds objects of a kind."""

_QUIET: Final[Mapping[type[Record], frozenset[str]]] = {
    Cluster: frozenset({"candidate_certs", "highest_used_port", "tcpudp_port_pool"}),
    Disk: frozenset({"iv_name", "logical_id", "nodes"}),
    Instance: frozenset({"name", "primary_node"}),
    Network: frozenset({"reservations"}),
}
"""Fields whose change alone raises no number of the object."""

_NUMBERS: Final = frozenset({"ctime", "mtime", "serial_no"})
_TELLS_NODES: Final = (Node, NodeGroup, Network)
"""Kinds in the nodes' simple settings: one that comes or goes raises the cluster's number."""

Touched = dict[str, dict[str, Record | None]]
"""By table and uuid, what an object became; None if it is removed."""


class Draft:
    """The configuration with an edit's changes so far. ``now`` is the time of the edit."""

    def __init__(self, before: Snapshot, now: float) -> None:
        self.before = before
        self.now = now
        self._cluster = before.cluster
        self._touched: Touched = {}
        self._current = before
        self._is_current = True
        self._new_disks = 0

    @property
    def snapshot(self) -> Snapshot:
        """The configuration as it is with all that was put and removed."""
        if not self._is_current:
            tables = {
                section: getattr(self.before, section).changed(changes)
                for section, changes in self._touched.items()
            }
            self._current = msgspec.structs.replace(self.before, cluster=self._cluster, **tables)
            self._is_current = True
        return self._current

    @property
    def cluster(self) -> Cluster:
        """The cluster as it is now."""
        return self._cluster

    @property
    def touched(self) -> Touched:
        """What was changed in the tables."""
        return self._touched

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return any(self._touched.values()) or self._cluster is not self.before.cluster

    def put(self, record: R) -> R:
        """Put an object in, new or in place of the one with its uuid; return it as it is then.

        Raises Conflict if it was read before it last changed.
        """
        if isinstance(record, Cluster):
            cluster: Any = self._put_cluster(record)
            return cluster  # type: ignore[no-any-return]
        section = SECTIONS[type(record)]
        uuid: str | None = getattr(record, "uuid")  # noqa: B009 - not every record has one
        if not uuid:
            raise errors.BadInput("an object without a uuid cannot be in the configuration")
        present: Any = self._find(section, uuid)
        if present is None:
            raised = self._new(record)
            if isinstance(record, _TELLS_NODES):
                self._raise_cluster(time=False)
        else:
            raised = self._raised(record, present, getattr(self.before, section).get(uuid))
            if raised is present:
                return raised
            if isinstance(record, Node):
                self._raise_cluster()
            elif isinstance(record, Instance) and record.name != present.name:
                self._raise_cluster(time=False)
        self._touch(section, uuid, raised)
        return raised

    def touch(self, record: Node | NodeGroup | Instance | Network | Disk) -> None:
        """Raise the number of an object that is in, though nothing of it changed."""
        section, uuid = SECTIONS[type(record)], record.uuid or ""
        present = self._find(section, uuid)
        original = getattr(self.before, section).get(uuid)
        if present is not None and original is not None:
            self._touch(section, uuid, self._risen(present, original))
        if isinstance(record, Node):
            self._raise_cluster()

    def remove(self, record: Node | NodeGroup | Instance | Network | Disk | FilterRule) -> None:
        """Take an object out; raises BadInput if it is not in.

        What belongs to it stays: see `remove_instance`.
        """
        section = SECTIONS[type(record)]
        uuid = record.uuid or ""
        if self._find(section, uuid) is None:
            raise errors.BadInput(f"{record!r} is not in the configuration", "unknown_entity")
        if isinstance(record, Instance | Disk):
            self._raise_cluster()
        elif isinstance(record, _TELLS_NODES):
            self._raise_cluster(time=False)
        if uuid in getattr(self.before, section):
            self._touch(section, uuid, None)
        else:
            del self._touched[section][uuid]
            self._is_current = False

    def allocate_port(self) -> int:
        """Take a free port of the cluster's; raises Exhausted if there is none."""
        port, cluster = ports.allocate(self._cluster)
        self._put_cluster(cluster)
        return port

    def release_port(self, port: int) -> None:
        """Give a port back."""
        self._put_cluster(ports.release(self._cluster, port))

    def free_mac(self, draw: Callable[[int], int], network: Network | None = None) -> str:
        """Return a MAC address that no card has; ``draw(n)`` is a random number below n.

        It is taken only when a card with it is put.
        """
        prefix = (network.mac_prefix if network else None) or self._cluster.mac_prefix
        return macs.free(prefix, self.snapshot.instances.index(keys.macs), draw)

    def attach_disk(self, instance: Instance, disk: Disk, place: int | None = None) -> Instance:
        """Put a disk and give it to an instance, at a place among its disks or as the last.

        The disks from there on are named anew. Raises BadInput if there is no such place.
        """
        uuids = list(instance.disks)
        place = len(uuids) if place is None else place
        if not 0 <= place <= len(uuids) or not disk.uuid:
            raise errors.BadInput(f"{instance!r} has no place {place} for a disk")
        if disk.uuid not in self.snapshot.disks:
            self._new_disks += 1
        self.put(disk)
        uuids.insert(place, disk.uuid)
        return self._with_disks(instance, uuids)

    def detach_disk(self, instance: Instance, disk: Disk) -> Instance:
        """Take a disk away from an instance; the disk stays, attached to nothing."""
        if disk.uuid not in instance.disks:
            raise errors.BadInput(f"{disk!r} is not a disk of {instance!r}", "unknown_entity")
        return self._with_disks(instance, [uuid for uuid in instance.disks if uuid != disk.uuid])

    def remove_disk(self, instance: Instance, disk: Disk) -> Instance:
        """Take a disk away from an instance, and out; its ports are free again."""
        left = self.detach_disk(instance, disk)
        for port in keys.disk_ports(disk):
            self.release_port(int(port))
        self.remove(disk)
        return left

    def remove_instance(self, instance: Instance) -> None:
        """Take an instance out with its disks; its port and its networks' addresses are free."""
        for disk in self.snapshot.disks_of(instance):
            instance = self.remove_disk(instance, disk)
        if instance.network_port is not None:
            self.release_port(instance.network_port)
        for nic in instance.nics:
            network = self.snapshot.networks.get(nic.network or "")
            if network is not None and nic.ip:
                self.put(addresses.release(network, nic.ip))
        self.remove(instance)

    def finished(self) -> Snapshot:
        """Return the configuration with the edit in it, its own number and time raised.

        Each new disk that is attached raises the number once more, as in Ganeti.
        """
        number = self.before.serial_no + 1 + self._new_disks
        return msgspec.structs.replace(self.snapshot, serial_no=number, mtime=self.now)

    def _with_disks(self, instance: Instance, uuids: list[str]) -> Instance:
        for place, uuid in enumerate(uuids):
            disk = self.snapshot.disks.get(uuid)
            if disk is not None and disk.iv_name != f"disk/{place}":
                self.put(msgspec.structs.replace(disk, iv_name=f"disk/{place}"))
        return self.put(msgspec.structs.replace(instance, disks=tuple(uuids)))

    def _find(self, section: str, uuid: str) -> Any:  # noqa: ANN401 - of any kind
        changes = self._touched.get(section, {})
        return changes[uuid] if uuid in changes else getattr(self.before, section).get(uuid)

    def _touch(self, section: str, uuid: str, record: Record | None) -> None:
        self._touched.setdefault(section, {})[uuid] = record
        self._is_current = False

    def _put_cluster(self, cluster: Cluster) -> Cluster:
        raised = self._raised(cluster, self._cluster, self.before.cluster)
        if raised is not self._cluster:
            self._cluster = raised
            self._is_current = False
        return raised

    def _raise_cluster(self, *, time: bool = True) -> None:
        """Raise the cluster's number, once an edit, and its time if it is to be."""
        self._cluster = msgspec.structs.replace(
            self._cluster,
            serial_no=self.before.cluster.serial_no + 1,
            mtime=self.now if time else self._cluster.mtime,
        )
        self._is_current = False

    def _new(self, record: R) -> R:
        if isinstance(record, FilterRule):
            return record
        return msgspec.structs.replace(record, ctime=self.now, mtime=self.now, serial_no=1)

    def _raised(self, record: R, present: Any, original: Any) -> R:  # noqa: ANN401 - of R's kind
        """Return an object with its number raised if need be; what is present if nothing is new."""
        if isinstance(record, FilterRule):
            return present if record == present else record
        if record.serial_no != present.serial_no:  # type: ignore[attr-defined]
            raise Conflict(f"{record!r} has changed since it was read")
        changed = {
            name
            for name in record.__struct_fields__
            if name not in _NUMBERS and getattr(record, name) != getattr(present, name)
        }
        if not changed:
            return present  # type: ignore[no-any-return]
        if changed <= _QUIET.get(type(record), frozenset()) or original is None:
            return record
        return self._risen(record, original)

    def _risen(self, record: R, original: Any) -> R:  # noqa: ANN401 - of R's kind
        return msgspec.structs.replace(record, serial_no=original.serial_no + 1, mtime=self.now)
