"""Things that have tags: how one is found, and locked, by its kind and name."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.model.config import cluster, group, instance, network, node, snapshot

Tagged: TypeAlias = (
    cluster.Cluster | group.NodeGroup | instance.Instance | network.Network | node.Node
)

_TAG: Final = re.compile(r"[\w.+*/:@-]+", re.ASCII)
_LONGEST: Final = 128
_MOST: Final = 4096


def find(snapshot: snapshot.Snapshot, kind: str, name: str | None) -> Tagged:
    """Return what is meant; raises BadInput if there is no such thing."""
    if kind == "cluster":
        return snapshot.cluster
    if not name:
        raise errors.BadInput(f"the {kind} whose tags are meant has no name")
    match kind:
        case "instance":
            return snapshot.instance(name)
        case "node":
            return snapshot.node(name)
        case "nodegroup":
            return snapshot.group(name)
        case "network":
            return snapshot.network(name)
    raise errors.BadInput(f"Wrong tag type requested ({kind})")


def everything(snapshot: snapshot.Snapshot) -> Iterator[tuple[str, Tagged]]:
    """Return all that can have tags, each with its path: ``/cluster``, ``/instances/web1``."""
    yield "/cluster", snapshot.cluster
    kinds: list[tuple[str, Iterable[Tagged]]] = [
        ("instances", snapshot.instances.values()),
        ("nodes", snapshot.nodes.values()),
        ("nodegroup", snapshot.groups.values()),
        ("network", snapshot.networks.values()),
    ]
    for kind, things in kinds:
        for found in sorted(things, key=lambda one: one.name):
            yield f"/{kind}/{found.name}", found


def locks(
    snapshot: snapshot.Snapshot, kind: str, name: str | None, mode: levels.Mode
) -> levels.Wanted:
    """Return the lock of what is meant."""
    found = find(snapshot, kind, name)
    match found:
        case instance.Instance():
            return {levels.Level.INSTANCE: levels.Claim(frozenset({found.name}), mode)}
        case node.Node():
            return {levels.Level.NODE: levels.Claim(frozenset({found.uuid}), mode)}
        case group.NodeGroup():
            return {levels.Level.NODEGROUP: levels.Claim(frozenset({found.uuid}), mode)}
        case network.Network():
            return {levels.Level.NETWORK: levels.Claim(frozenset({found.uuid}), mode)}
    return {}


def check(tag: str) -> None:
    """Raise BadInput unless this can be a tag."""
    if len(tag) > _LONGEST:
        raise errors.BadInput(f"Tag too long (maximum {_LONGEST} characters): {tag[:20]}...")
    if not _TAG.fullmatch(tag):
        raise errors.BadInput(f"Tag {tag!r} contains invalid characters")


def check_number(tags: frozenset[str]) -> None:
    """Raise BadInput if these are more than one thing may have."""
    if len(tags) > _MOST:
        raise errors.BadInput(f"there cannot be more than {_MOST} tags")
