"""A running guest moves between nodes, over the node RPC and TLS, and never notices."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import consoles, guests
from lab.cluster import clusters, conductor, instances, machines, network
from pyganeti.base import errors
from pyganeti.clients import stopjournal
from pyganeti.model import stop as stops

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-migration"),
]

NAME = "web1.lab.example"
RUNNING = {"memory": 16, "vcpus": 1, "state": 0, "time": 0}

# What a real master was seen to send for a migration, hooks of the other node included.
AT_THE_SOURCE = (
    "instance_migratable instance_info hooks_runner node_info migration_info blockdev_open"
    " instance_migrate instance_get_migration_status instance_finalize_migration_src"
    " blockdev_close hooks_runner"
)
AT_THE_TARGET = (
    "hooks_runner node_info blockdev_close blockdev_open accept_instance"
    " instance_finalize_migration_dst blockdev_open hooks_runner"
)


@pytest.fixture
def web1(cluster: clusters.Cluster, master: conductor.Conductor) -> Iterator[instances.Instance]:
    """Start a guest with a disk and a network card on the first node; remove it at the end."""
    instance = instances.Instance(NAME, cluster.shared, nics=1).but(migration_bandwidth=1)
    first = cluster.nodes[0]
    master.add(instance, first)
    master.start(instance, first)
    yield instance
    for node in cluster.nodes:
        if master.call(node, "instance_info", NAME, "kvm", {}):
            master.stop(instance, node, timeout=0)
    master.remove(instance, first)


def endless(instance: instances.Instance) -> instances.Instance:
    """Return the same, so that moving it takes for ever.

    In a millisecond not even one page gets through, and a guest that wakes writes to one.
    """
    return instance.but(migration_downtime=1)


def console(node: machines.Machine) -> consoles.Console:
    return consoles.Console(node.layout.ctrl_dir / f"{NAME}.serial")


def info(cluster: clusters.Cluster, node: machines.Machine) -> object:
    return cluster.call(node, "all_instances_info", ["kvm"], {})


def taps(node: machines.Machine) -> list[str]:
    interfaces = node.run("ls", f"/sys/class/net/{network.BRIDGE}/brif").stdout.split()
    return [name for name in interfaces if name.startswith("tap")]


def links(node: machines.Machine) -> list[Path]:
    return sorted((node.layout.run_dir / "instance-disks").glob("*"))


def recorded(node: machines.Machine) -> list[stops.Stop]:
    with stopjournal.Reader(node.layout.kvmd_journal) as reader:
        return list(reader.stops(name=NAME))


def calls_in(log: str) -> str:
    """Return the calls that a log has, in their order; one that is repeated at once only once."""
    calls = re.findall(r" call=(\w+)", log)
    return " ".join(call for n, call in enumerate(calls) if n == 0 or calls[n - 1] != call)


def test_a_guest_goes_on_where_it_was_moved_to(
    cluster: clusters.Cluster, master: conductor.Conductor, web1: instances.Instance
) -> None:
    first, second, _ = cluster.nodes
    with console(first) as guest:
        guest.wait_up()
        assert [guest.count(), guest.count()] == [1, 2]
    assert len(taps(first)) == 1
    before = [len(cluster.noded(node).log) for node in (first, second)]
    master.migrate(web1, first, second)
    said = [cluster.noded(node).log for node in (first, second)]
    with console(second) as guest:
        assert [guest.count(), guest.count()] == [3, 4]  # one that had booted would begin with 1
    assert info(cluster, first) == {}
    assert info(cluster, second) == {NAME: RUNNING}
    assert (taps(first), len(taps(second))) == ([], 1)
    assert (links(first), [path.name for path in links(second)]) == ([], [f"{NAME}:0"])
    cluster.kvmd(first).wait_logged("a guest stopped ", f"name={NAME}")
    assert [str(stop.cause) for stop in recorded(first)] == ["migrated"]
    assert not (first.layout.ctrl_dir / f"{NAME}.shutdown").exists()
    assert recorded(second) == []
    assert calls_in(said[0][before[0] :]) == AT_THE_SOURCE
    assert calls_in(said[1][before[1] :]) == AT_THE_TARGET


def test_it_moves_on_and_back_and_is_stopped_there(
    cluster: clusters.Cluster, master: conductor.Conductor, web1: instances.Instance
) -> None:
    first, second, third = cluster.nodes
    with console(first) as guest:
        assert guest.wait_up().count() == 1
    moves = ((first, third), (third, second), (second, first))
    for number, (source, target) in enumerate(moves, 2):
        master.migrate(web1, source, target, live=target is not second)
        with console(target) as guest:
            assert guest.count() == number
    assert info(cluster, first) == {NAME: RUNNING}
    master.stop(web1, first)
    cluster.kvmd(first).wait_logged("a guest stopped ", "cause=admin-shutdown")
    assert info(cluster, first) == {}


def test_a_guest_moves_through_tls(
    cluster: clusters.Cluster, master: conductor.Conductor, web1: instances.Instance
) -> None:
    first, second, _ = cluster.nodes
    with console(first) as guest:
        assert guest.wait_up().count() == 1
    master.migrate(web1.but(migration_tls=True), first, second)
    with console(second) as guest:
        assert guest.count() == 2
    assert cluster.noded(first).log_lines("a guest is sent", "tls=True")


def test_a_guest_stays_where_the_target_cannot_take_it(
    cluster: clusters.Cluster, master: conductor.Conductor, web1: instances.Instance
) -> None:
    first, second, _ = cluster.nodes
    with console(first) as guest:
        assert guest.wait_up().count() == 1
        second.namespace.configure([f"link set {network.BRIDGE} name elsewhere"])
        with pytest.raises(conductor.NotMigrated, match=network.BRIDGE):
            master.migrate(web1, first, second)
        second.namespace.configure([f"link set elsewhere name {network.BRIDGE}"])
        assert guest.count() == 2
    assert (info(cluster, first), info(cluster, second)) == ({NAME: RUNNING}, {})
    assert (len(taps(first)), taps(second), links(second)) == (1, [], [])


def test_a_guest_stays_if_the_target_loses_its_power_meanwhile(
    cluster: clusters.Cluster, web1: instances.Instance
) -> None:
    first, second, _ = cluster.nodes
    master = conductor.Conductor(cluster, patience=0.5)
    with console(first) as guest:
        assert guest.wait_up().count() == 1
        with pytest.raises(conductor.NotMigrated):
            master.migrate(endless(web1), first, second, on_the_way=second.power_off)
        assert guest.count() == 2
    cluster.start(second)
    assert (info(cluster, first), info(cluster, second)) == ({NAME: RUNNING}, {})
    conductor.Conductor(cluster).migrate(web1, first, second)
    with console(second) as guest:
        assert guest.count() == 3


def test_a_guest_stays_if_the_cable_is_pulled_meanwhile(
    cluster: clusters.Cluster, web1: instances.Instance
) -> None:
    first, second, _ = cluster.nodes
    master = conductor.Conductor(cluster, patience=0.5)
    with console(first) as guest:
        assert guest.wait_up().count() == 1
        with pytest.raises(conductor.NotMigrated):
            master.migrate(
                endless(web1),
                first,
                second,
                on_the_way=lambda: cluster.switch.unplug(second.port),
            )
        assert guest.count() == 2
        cluster.switch.replug(second.port)
        # What waits there for the guest is in nobody's way, and can be cleared up later.
        described = web1.wire(first)
        master.call(second, "instance_finalize_migration_dst", described, "", False)
        assert (info(cluster, first), info(cluster, second)) == ({NAME: RUNNING}, {})
        assert (taps(second), links(second)) == ([], [])
        assert guest.count() == 3
    cluster.kvmd(second).wait_logged("a guest stopped ", f"name={NAME}", "cause=admin-kill")
    stop = recorded(second)[-1]
    assert str(stop.cause) == "admin-kill"  # nobody is to be alarmed
    assert stop.evidence.intent is not None
    assert "does not come" in stop.evidence.intent.reason


@pytest.mark.parametrize("side", ["source", "target"])
def test_node_daemons_may_die_meanwhile(
    cluster: clusters.Cluster,
    master: conductor.Conductor,
    web1: instances.Instance,
    side: str,
) -> None:
    first, second, _ = cluster.nodes
    dying = cluster.noded(first if side == "source" else second)

    def die() -> None:
        dying.kill()
        dying.start()

    with console(first) as guest:
        assert guest.wait_up().count() == 1
    master.migrate(web1, first, second, on_the_way=die)
    with console(second) as guest:
        assert guest.count() == 2
    assert (info(cluster, first), info(cluster, second)) == ({}, {NAME: RUNNING})
    assert (taps(first), len(taps(second))) == ([], 1)


def test_a_guest_whose_memory_never_settles_is_given_up_and_goes_on(
    cluster: clusters.Cluster, web1: instances.Instance
) -> None:
    first, second, _ = cluster.nodes
    master = conductor.Conductor(cluster, patience=0.5)
    with console(first) as guest:
        guest.wait_up()
        guest.say(guests.Command.TOUCH_MEMORY)
    with pytest.raises(conductor.NotMigrated, match="still under way"):
        master.migrate(web1, first, second)
    assert (info(cluster, first), info(cluster, second)) == ({NAME: RUNNING}, {})
    assert (len(taps(first)), taps(second), links(second)) == (1, [], [])


def test_a_pre_hook_that_fails_on_the_target_keeps_the_guest(
    cluster: clusters.Cluster, master: conductor.Conductor, web1: instances.Instance
) -> None:
    first, second, _ = cluster.nodes
    folder = second.layout.config_dir / "hooks/instance-migrate-pre.d"
    folder.mkdir(parents=True)
    hook = folder / "no"
    hook.write_text("#!/bin/sh\necho not today\nexit 1\n")
    hook.chmod(0o755)
    try:
        with pytest.raises(errors.Failure, match="not today"):
            master.migrate(web1, first, second)
    finally:
        hook.unlink()
        folder.rmdir()
    assert (info(cluster, first), info(cluster, second)) == ({NAME: RUNNING}, {})
