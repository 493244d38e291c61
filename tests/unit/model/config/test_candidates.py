"""There are as many master candidates as the cluster wants, as far as nodes can be."""

import msgspec
import pytest

from lab import configurations
from pyganeti.model.config import candidates
from pyganeti.model.config.snapshot import Snapshot

replace = msgspec.structs.replace


def _snapshot(pool: int, *states: str) -> Snapshot:
    """Return a cluster whose nodes are in states: candidate, free, offline, drained, unable."""
    made = configurations.of(0, len(states))
    nodes = {
        node.uuid: replace(
            node,
            master_candidate=state == "candidate",
            offline=state == "offline",
            drained=state == "drained",
            master_capable=state != "unable",
        )
        for node, state in zip(made.nodes.values(), states, strict=True)
    }
    cluster = replace(made.cluster, candidate_pool_size=pool)
    return replace(made, cluster=cluster, nodes=made.nodes.changed(nodes))


@pytest.mark.parametrize(
    ("pool", "states", "counted", "next_ones"),
    [
        (10, ("candidate", "free", "free"), (1, 3, 3), [2, 3]),
        (2, ("candidate", "free", "free"), (1, 2, 3), [2]),
        (1, ("candidate", "free", "free"), (1, 1, 3), []),
        (1, ("candidate", "candidate"), (2, 1, 2), []),
        (10, ("candidate", "offline", "drained", "unable", "free"), (1, 2, 2), [5]),
    ],
)
def test_as_many_as_are_wanted_and_can_be(
    pool: int, states: tuple[str, ...], counted: tuple[int, ...], next_ones: list[int]
) -> None:
    snapshot = _snapshot(pool, *states)
    assert candidates.count(snapshot) == counted
    assert [node.uuid for node in candidates.next_ones(snapshot)] == [
        configurations.uuid(3, number) for number in next_ones
    ]


def test_who_is_about_to_go_is_not_counted() -> None:
    snapshot = _snapshot(2, "candidate", "candidate", "free")
    going = {configurations.uuid(3, 2)}
    assert candidates.count(snapshot, going) == (1, 2, 2)
    (promoted,) = candidates.next_ones(snapshot, going)
    assert promoted.uuid == configurations.uuid(3, 3)
