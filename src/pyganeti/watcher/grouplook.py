"""What a node group's pass looks at: its nodes and instances, as the master daemon answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors, log
from pyganeti.clients import luxi

HELPLESS: Final = frozenset({"ERROR_nodedown", "ERROR_nodeoffline"})
"""Statuses of instances about which nothing can be done now."""

_LOG: Final = log.get(__name__)
_EXCLUSIVE: Final = "exclusive"
_INSTANCE_FIELDS: Final = (
    "name", "status", "disks_active", "snodes", "pnode.group.uuid", "snodes.group.uuid",
    "disk_template",
)  # fmt: skip
_NODE_FIELDS: Final = ("name", "uuid", "bootid", "offline")


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of the group. ``secondaries`` are the names of its other nodes."""

    name: str
    status: str
    disks_active: bool
    secondaries: tuple[str, ...]
    template: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the group; one that does not answer has no ``boot_id``."""

    name: str
    uuid: str
    boot_id: str | None
    offline: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A node group: what is in it by name, and which of it jobs have for themselves."""

    uuid: str
    nodes: Mapping[str, Node]
    instances: Mapping[str, Instance]
    busy: frozenset[str] = frozenset()

    def secondaries_on(self, nodes: Iterable[str]) -> list[Instance]:
        """Return the instances that have one of these nodes as another node, by name."""
        wanted = frozenset(nodes)
        return [one for _, one in sorted(self.instances.items()) if wanted & {*one.secondaries}]

    def is_helpless(self, one: Instance) -> bool:
        """Tell whether nothing can be done about an instance's disks now."""
        return one.status in HELPLESS or any(
            name in self.nodes and self.nodes[name].offline for name in one.secondaries
        )

    @property
    def is_verified_elsewhere(self) -> bool:
        """Whether all disks there are, if any, are such as only their provider can look at."""
        return all(one.template == "ext" for one in self.instances.values())


def look(client: luxi.Client, uuid: str) -> Group:
    """Look at a group. Blocks; raises as the client does, Damaged for answers that are none."""
    locks = _rows(client, "lock", ("name", "mode"), None)
    instances, nodes = instances_of(client, uuid), nodes_of(client, uuid)
    try:
        return assemble(uuid, nodes, instances, locks)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise errors.Damaged(f"the master daemon answers nonsense of {uuid}: {error}") from error


def instances_of(client: luxi.Client, uuid: str) -> list[list[Any]]:
    """Return a row for each instance whose first node is in the group. Blocks."""
    return _rows(client, "instance", _INSTANCE_FIELDS, ["=", "pnode.group.uuid", uuid])


def nodes_of(client: luxi.Client, uuid: str) -> list[list[Any]]:
    """Return a row for each node of the group. Blocks."""
    return _rows(client, "node", _NODE_FIELDS, ["=", "group.uuid", uuid])


def assemble(
    uuid: str,
    nodes: Iterable[list[Any]],
    instances: Iterable[list[Any]],
    locks: Iterable[list[Any]],
) -> Group:
    """Make a group of rows of values; raises ValueError and the like for rows that are none."""
    found = {}
    for name, status, disks_active, snodes, group, groups, template in instances:
        if set(groups or ()) - {group}:
            _LOG.error("an instance is split between groups, and ignored", instance=name)
            continue
        others = tuple(msgspec.convert(snodes or [], list[str]))
        found[str(name)] = Instance(
            str(name), str(status), bool(disks_active), others, str(template)
        )
    own = {
        str(name): Node(str(name), str(node), boot_id or None, bool(offline))
        for name, node, boot_id, offline in nodes
    }
    held = frozenset(str(name) for name, mode in locks if mode == _EXCLUSIVE)
    wanted = {f"{level}/{node.uuid}" for node in own.values() for level in ("node", "node-res")}
    wanted |= {f"instance/{name}" for name in found}
    wanted |= {f"nodegroup/{uuid}"}
    wanted |= {f"{level}/[lockset]" for level in ("node", "node-res", "instance", "nodegroup")}
    return Group(uuid, own, found, held & wanted)


def _rows(
    client: luxi.Client, what: str, fields: Iterable[str], condition: object
) -> list[list[Any]]:
    answer = client.query(what, list(fields), condition)
    return [[value for _, value in row] for row in answer["data"]]
