"""How many master candidates there are, should be and could be, and who is next to become one."""

from collections.abc import Container
from typing import NamedTuple

from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot


class Count(NamedTuple):
    """Numbers of nodes."""

    present: int
    wanted: int
    possible: int


def count(snapshot: Snapshot, without: Container[str] = ()) -> Count:
    """Return how it stands, as if the nodes with these uuids were not there."""
    nodes = [node for uuid, node in snapshot.nodes.items() if uuid not in without]
    possible = sum(1 for node in nodes if _can_be(node))
    present = sum(1 for node in nodes if node.master_candidate)
    return Count(present, min(possible, snapshot.cluster.candidate_pool_size), possible)


def next_ones(snapshot: Snapshot, without: Container[str] = ()) -> tuple[Node, ...]:
    """Return the nodes to make candidates so that there are enough, in the order of their names.

    Fewer than are missing, if no more can be.
    """
    counted = count(snapshot, without)
    free = [
        node
        for uuid, node in snapshot.nodes.items()
        if uuid not in without and _can_be(node) and not node.master_candidate
    ]
    missing = max(0, counted.wanted - counted.present)
    return tuple(sorted(free, key=lambda node: node.name)[:missing])


def _can_be(node: Node) -> bool:
    return node.master_capable and not (node.offline or node.drained)
