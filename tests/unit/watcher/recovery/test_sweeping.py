from pathlib import Path

from pyganeti.model.cause import Cause
from pyganeti.watcher.recovery import cases, memory, mentions, moments, sweeping

NOW = 1_700_000_000.0


def usable(tmp_path: Path, *, stopped: float, begun: float = 0.0, tried: bool = False) -> bool:
    """Tell whether a stop on record counts for an instance that was found down."""
    clock = moments.Clock(lambda: 100.0, lambda: NOW)
    remembered = memory.Memory(tmp_path / "data", clock)
    if tried:
        remembered.tried("web1", 3, Cause.KILLED)
    stop = cases.Stop(Cause.MIGRATED, "key", stopped, "node1")
    known = sweeping.Recorded({"web1": stop}, frozenset({"node2"}))
    found = sweeping.without_older(known, mentions.Begun({"web1": begun}), remembered)
    assert found.telling == known.telling
    return bool(found.stops)


def test_a_stop_on_record_counts_if_nothing_was_begun_with_the_instance_since(
    tmp_path: Path,
) -> None:
    assert usable(tmp_path, stopped=NOW - 50)
    assert usable(tmp_path, stopped=NOW - 50, begun=NOW - 60)


def test_one_that_was_started_or_moved_since_fell_for_another_reason(tmp_path: Path) -> None:
    assert not usable(tmp_path, stopped=NOW - 50, begun=NOW - 40)
    assert not usable(tmp_path, stopped=NOW - 50, tried=True)


def test_clocks_of_two_nodes_may_differ_a_little(tmp_path: Path) -> None:
    assert usable(tmp_path, stopped=NOW - 50, begun=NOW - 49.5)
