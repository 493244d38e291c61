"""What a verification knows of one node: what should be so, and what the node said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

T = TypeVar("T")

System = tuple[str, str, bool, str, list[str], list[Any], list[int], bool]
"""An OS definition: name, path, whether it can be used, why not, variants, parameters, versions of
the interface, whether it is trusted."""

_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class Image:
    """A node. ``is_silent``: it did not answer; the other lists are what it said."""

    node: Node
    is_silent: bool = False
    instances: frozenset[str] | None = None
    """Names of those that run; None if it does not say."""

    volumes: Mapping[str, Any] | None = None
    """Logical volumes by group and name; None if it does not say."""

    memory_free: int = 0
    systems: Mapping[str, list[System]] | None = None
    volume_sizes: tuple[float, float] | None = None
    """The smallest and the largest physical volume, in MiB."""

    disks: dict[str, tuple[bool, Any]] = field(default_factory=dict)
    """By a disk's uuid whether its status is known, and the status, or why not."""


def shaped(said: Mapping[str, Any], key: str, kind: Any, _like: T) -> T | None:  # noqa: ANN401 - a type
    """Return what a node said about something, None if that has not got the shape it should."""
    try:
        found: T = msgspec.convert(said.get(key), kind)
    except msgspec.ValidationError:
        return None
    return found


def volumes_of(snapshot: Snapshot, uuids: Iterable[str]) -> dict[str, set[str]]:
    """Return which logical volumes instances should have, by the uuid of the node."""
    found: dict[str, set[str]] = {}
    for uuid in uuids:
        for disk in snapshot.disks_of(snapshot.instances[uuid]):
            for part in disk.with_children():
                if part.dev_type.value != "plain":
                    continue
                for node in part.nodes or disk.nodes or (snapshot.instances[uuid].primary_node,):
                    found.setdefault(node, set()).add("/".join(map(str, part.logical_id)))
    return found
