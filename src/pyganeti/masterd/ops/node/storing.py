"""Kinds of storage: which a cluster has, and what nodes are told of where it is."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

_KINDS: Final[Mapping[str, str]] = {
    "blockdev": "blockdev",
    "diskless": "diskless",
    "drbd": "lvm-vg",
    "ext": "ext",
    "file": "file",
    "gluster": "gluster",
    "plain": "lvm-vg",
    "rbd": "rados",
    "sharedfile": "sharedfile",
}
"""Which kind of storage disks of a template need."""

_REPORTED: Final = ("file", "sharedfile", "gluster", "lvm-pv", "lvm-vg")
"""Kinds that nodes can tell of."""

MODIFIABLE: Final[Mapping[str, frozenset[str]]] = {"lvm-pv": frozenset({"allocatable"})}
REPAIRABLE: Final = frozenset({"lvm-vg"})
REPAIR: Final = "fix-consistency"


def check_enabled(cluster: Cluster, kind: str) -> None:
    """Raise BadInput unless a cluster has disks on such storage."""
    needed = "lvm-vg" if kind == "lvm-pv" else kind
    if needed not in {_KINDS[template] for template in cluster.enabled_disk_templates}:
        raise errors.BadInput(
            f"Storage type '{kind}' is not enabled: none of the cluster's disk templates is on it"
        )


def default_kind(cluster: Cluster) -> str:
    """Return the kind that is meant when nobody says; raises BadInput if it cannot be told of."""
    kind = _KINDS[cluster.enabled_disk_templates[0]]
    if kind not in _REPORTED:
        raise errors.BadInput(
            f"Storage reporting for storage type '{kind}' is not supported. Please use the"
            " --storage-type option to specify one of the supported storage types"
            f" ({', '.join(_REPORTED)})."
        )
    return kind


def arguments(cluster: Cluster, kind: str) -> list[Any]:
    """Return what nodes are told of where storage is."""
    places = {
        "file": cluster.file_storage_dir,
        "sharedfile": cluster.shared_file_storage_dir,
        "gluster": cluster.gluster_storage_dir,
    }
    return [[places[kind]]] if kind in places else []


def check_fields(asked: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadInput for fields that there are not."""
    if unknown := sorted(set(asked) - set(known)):
        raise errors.BadInput(f"Unknown output fields selected: {', '.join(unknown)}")


def wanted(snapshot: Snapshot, names: Iterable[str]) -> list[Node]:
    """Return the nodes of these names, all if there are none."""
    return [snapshot.node(name) for name in names] or list(snapshot.nodes.values())
