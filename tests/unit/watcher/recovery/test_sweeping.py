from pathlib import Path

from lab import answeringnodes, clusters
from pyganeti.base import errors
from pyganeti.clients import node as nodeclient
from pyganeti.model.cause import Cause
from pyganeti.model.recovery import policy
from pyganeti.watcher.recovery import (
    cases,
    deciding,
    looking,
    memory,
    mentions,
    moments,
    sweeping,
)

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


async def test_one_that_runs_on_another_node_is_found_there() -> None:
    known = list(clusters.small(nodes=3).nodes.values())
    hosts = {
        one.name: looking.Node(one.name, one.primary_ip, one.offline, one.drained, "default", 4)
        for one in known
    }
    first, second, third = hosts
    down = [
        looking.Instance(name, first, deciding.Seen("ERROR_down", "up"), policy.of(()), ())
        for name in ("moved", "here", "nowhere")
    ]

    def refused(*_: object) -> object:
        raise errors.Failure("it does not say")

    async with answeringnodes.started(known) as nodes:
        nodes.say(first, "instance_list", ["here"])
        nodes.say(second, "instance_list", ["moved", "other", 5, ["moved"]])
        nodes.say(third, "instance_list", refused)
        async with nodeclient.Caller(None, port=nodes.port) as caller:
            assert await sweeping.astray(caller, hosts, down) == {"moved": second}
            assert await sweeping.astray(caller, hosts, []) == {}
