"""Settings for recovery that count for nothing: nobody would notice before something falls."""

from collections.abc import Iterable, Iterator

from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.recovery import settings
from pyganeti.model.recovery.settings import Level


def problems(snapshot: Snapshot) -> list[str]:
    """Return what is wrong with the tags that are settings, a sentence each."""
    return [
        f"{level} {one.name}: {text}"
        for level, one in _all(snapshot)
        for text in settings.problems(one.tags, level)
    ]


def _all(snapshot: Snapshot) -> Iterator[tuple[Level, Cluster | NodeGroup | Node | Instance]]:
    kinds: list[tuple[Level, Iterable[NodeGroup | Node | Instance]]] = [
        (Level.GROUP, snapshot.groups.values()),
        (Level.NODE, snapshot.nodes.values()),
        (Level.INSTANCE, snapshot.instances.values()),
    ]
    yield Level.CLUSTER, snapshot.cluster
    for level, things in kinds:
        for one in sorted(things, key=lambda one: one.name):
            yield level, one
