"""Nodes that trust one another, and what they find when they come back."""

from collections.abc import Iterator
from typing import Any

import pytest

from lab import consoles, nodedaemons
from lab.cluster import calls, clusters, conductor, founding, instances, machines, network
from pyganeti.base import errors
from pyganeti.clients import stopjournal
from pyganeti.model import stop as stops
from pyganeti.wire import noderpc

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.xdist_group("system-nodes")]

RUNNING = {"memory": 16, "vcpus": 1, "state": 0, "time": 0}
SHUT_DOWN = {"memory": 0, "vcpus": 0, "state": 1, "time": 0}
NAMES = ("web1.lab.example", "web2.lab.example")


@pytest.fixture
def guests(
    cluster: clusters.Cluster, master: conductor.Conductor
) -> Iterator[list[instances.Instance]]:
    """Start two guests on the second node; remove them at the end, wherever they are."""
    _, second, third = cluster.nodes
    made = [instances.Instance(name, cluster.shared, nics=1) for name in NAMES]
    for instance in made:
        master.add(instance, second)
        master.start(instance, second)
    yield made
    for node in (second, third):
        cluster.start(node)
    for instance in made:
        if master.call(third, "instance_info", instance.name, "kvm", {}):
            master.stop(instance, third, timeout=0)
        master.remove(instance, second)


def info(cluster: clusters.Cluster, node: machines.Machine) -> Any:
    return cluster.call(node, "all_instances_info", ["kvm"], {})


def console(node: machines.Machine, name: str) -> consoles.Console:
    return consoles.Console(node.layout.ctrl_dir / f"{name}.serial")


def recorded(node: machines.Machine, name: str) -> list[stops.Stop]:
    with stopjournal.Reader(node.layout.kvmd_journal) as reader:
        return list(reader.stops(name=name))


# Trust.


def test_every_node_answers_every_other_over_tls(cluster: clusters.Cluster) -> None:
    for source in cluster.nodes:
        caller = calls.Caller(source.namespace, founding.client_of(source.name).pem)
        for target in cluster.nodes:
            assert caller.call(target.address, "version") == noderpc.PROTOCOL
            assert cluster.noded(target).wait_logged("call=version", f"by={source.name}")


def test_nobody_else_is_answered(cluster: clusters.Cluster) -> None:
    first = cluster.nodes[0]
    others = nodedaemons.cluster("other.example.com")
    # Another cluster's node, another cluster's own, nobody.
    for number, shown in enumerate((others.client.pem, others.server.pem, None), 1):
        with pytest.raises((errors.Denied, errors.Unavailable)):
            calls.Caller(cluster.room, shown).call(first.address, "version")
        cluster.noded(first).wait_logged("a connection was refused", times=number)
    stranger = founding.client_of("stranger.lab.example").pem  # signed, but in no list
    with pytest.raises(errors.Denied):
        calls.Caller(cluster.room, stranger).call(first.address, "version")
    assert cluster.call(first, "version") == noderpc.PROTOCOL


def test_a_node_that_is_taken_off_the_list_is_refused_at_once(cluster: clusters.Cluster) -> None:
    first, second, third = cluster.nodes
    told = {node: third.layout.ssconf("master_candidates_certs").read_text() for node in (third,)}
    left = [line for line in told[third].splitlines() if not line.startswith(_uuid(second))]
    assert len(left) == 2
    assert cluster.caller(second).call(third.address, "version") == noderpc.PROTOCOL
    cluster.call(third, "write_ssconf_files", {"master_candidates_certs": left})
    with pytest.raises(errors.Denied):
        cluster.caller(second).call(third.address, "version")
    assert cluster.caller(first).call(third.address, "version") == noderpc.PROTOCOL
    cluster.call(third, "write_ssconf_files", {"master_candidates_certs": told[third].splitlines()})
    assert cluster.caller(second).call(third.address, "version") == noderpc.PROTOCOL


def _uuid(node: machines.Machine) -> str:
    return founding.uuid_of(node.name)


# Coming back.


def test_a_node_daemon_that_was_killed_finds_its_guests(
    cluster: clusters.Cluster,
    master: conductor.Conductor,
    guests: list[instances.Instance],
) -> None:
    second = cluster.nodes[1]
    with console(second, NAMES[0]) as guest:
        assert guest.wait_up().count() == 1
        cluster.noded(second).kill()
        with pytest.raises(errors.Unavailable):
            cluster.call(second, "version")
        assert guest.count() == 2
        cluster.noded(second).start()
        assert info(cluster, second) == dict.fromkeys(NAMES, RUNNING)
        assert guest.count() == 3
    master.stop(guests[0], second)
    assert info(cluster, second) == {NAMES[1]: RUNNING}
    master.reboot(guests[1], second, timeout=0)
    assert info(cluster, second) == {NAMES[1]: RUNNING}


def test_both_daemons_may_be_killed_and_no_stop_is_missed(
    cluster: clusters.Cluster, guests: list[instances.Instance]
) -> None:
    second = cluster.nodes[1]
    with console(second, NAMES[0]) as guest:
        guest.wait_up()
        cluster.noded(second).kill()
        cluster.kvmd(second).kill()
        guest.say("P")
    cluster.start(second)
    cluster.kvmd(second).start()
    cluster.kvmd(second).wait_logged("a guest stopped ", f"name={NAMES[0]}")
    assert [str(stop.cause) for stop in recorded(second, NAMES[0])][-1:] == ["user-poweroff"]
    expected = {NAMES[1]: RUNNING, NAMES[0]: SHUT_DOWN}
    cluster.noded(second).wait(lambda: info(cluster, second) == expected, "the qemu to be let go")


def test_a_node_that_lost_its_power_starts_its_guests_again(
    cluster: clusters.Cluster, master: conductor.Conductor, guests: list[instances.Instance]
) -> None:
    _, second, third = cluster.nodes
    before = {name: len(recorded(second, name)) for name in NAMES}
    second.power_off()
    # One goes on where its disk is seen too, one waits for its node.
    master.start(guests[0], third)
    cluster.start(second)
    assert (info(cluster, second), info(cluster, third)) == ({}, {NAMES[0]: RUNNING})
    master.start(guests[1], second)
    assert info(cluster, second) == {NAMES[1]: RUNNING}
    for name in NAMES:
        cluster.kvmd(second).wait_logged("a guest stopped ", f"name={name}", "cause=host-reboot")
        found = recorded(second, name)[before[name] :]
        assert [str(stop.cause) for stop in found] == ["host-reboot"]


# Faults of the network.


@pytest.mark.parametrize("fault", ["cable", "answers", "frozen"])
def test_a_node_that_cannot_be_reached_holds_up_nobody(
    cluster: clusters.Cluster, guests: list[instances.Instance], fault: str
) -> None:
    _, second, third = cluster.nodes
    if fault == "cable":
        cluster.switch.unplug(second.port)
    elif fault == "answers":
        cluster.switch.lose(second.port, [network.HERE])
    else:
        cluster.noded(second).pause()
    try:
        with pytest.raises(errors.Unavailable):
            cluster.call(second, "version", timeout=0.5)
        assert cluster.call(third, "version", timeout=10) == noderpc.PROTOCOL
    finally:
        if fault == "cable":
            cluster.switch.replug(second.port)
        elif fault == "answers":
            cluster.switch.find(second.port, [network.HERE])
        else:
            cluster.noded(second).resume()
    assert info(cluster, second) == dict.fromkeys(NAMES, RUNNING)


def test_what_one_node_sends_to_another_may_get_lost(cluster: clusters.Cluster) -> None:
    first, second, third = cluster.nodes
    caller = calls.Caller(first.namespace, founding.client_of(first.name).pem)
    cluster.lose(first, second)
    with pytest.raises(errors.Unavailable):
        caller.call(second.address, "version", timeout=0.5)
    assert caller.call(third.address, "version") == noderpc.PROTOCOL
    cluster.find(first, second)
    assert caller.call(second.address, "version") == noderpc.PROTOCOL
