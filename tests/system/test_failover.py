"""Another node becomes the master: as planned, and when the old one is gone.

The watcher runs on every node. It moves with the master, and starts no daemon in anybody's way.
"""

from collections.abc import Iterator

import pytest

from lab import qemus
from lab.cluster import clusters, founding, machines, namespaces, services

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("system-failover"),
]


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave what is left here to go with the machines."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make three machines one cluster, by its own commands."""
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(3, founded=False) as made:
        first, *others = made.nodes
        done = first.run("gnt-cluster", "init", founding.NAME, within=60)
        assert done.returncode == 0, done.stderr
        for node in others:
            done = first.run("gnt-node", "add", "--token", token_of(node), node.name, within=60)
            assert done.returncode == 0, done.stderr
        for node in made.nodes:
            watcher(node).start()
        yield made


def token_of(node: machines.Machine) -> str:
    node.spawn("ganeti-node-join", log="join.log")
    log = node.root / "join.log"
    qemus.wait_until(lambda: "gnj1-" in log.read_text(), what="a token")
    return next(line for line in log.read_text().split() if line.startswith("gnj1-"))


def masterd(node: machines.Machine) -> services.Service:
    return services.Service(node, services.MASTERD)


def watcher(node: machines.Machine) -> services.Service:
    return services.Service(node, "ganeti-watcher", "--daemon")


def has_address(node: machines.Machine) -> bool:
    return founding.MASTER_ADDRESS in node.run("ip", "-br", "-4", "addr").stdout


def jobs(node: machines.Machine) -> list[str]:
    done = node.run("gnt-job", "list", "--no-headers", "-o", "id")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def _refused(cluster: clusters.Cluster) -> None:
    first, second, _ = cluster.nodes
    refused = first.run("gnt-cluster", "master-failover")
    assert refused.returncode == 1
    assert "is the master already" in refused.stderr
    unsaid = second.run("gnt-cluster", "master-failover", "--no-voting")
    assert unsaid.returncode == 13
    assert masterd(first).alive


def _told_to_rest(cluster: clusters.Cluster) -> None:
    """Have a pause hold on every node, candidate or not."""
    pauses = [node.layout.watcher_pause for node in cluster.nodes]
    first = cluster.nodes[0]
    assert first.run("gnt-cluster", "watcher", "pause", "1h").returncode == 0
    assert all(pause.exists() for pause in pauses)
    assert first.run("gnt-cluster", "watcher", "continue").returncode == 0
    assert not any(pause.exists() for pause in pauses)


def _as_planned(cluster: clusters.Cluster) -> None:
    first, second, third = cluster.nodes
    assert first.run("gnt-cluster", "add-tags", "kept").returncode == 0
    before = jobs(first)
    watcher(first).wait_logged("recovery begins")

    done = second.run("gnt-cluster", "master-failover", within=90)

    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert (masterd(first).alive, masterd(second).alive) == (False, True)
    assert (has_address(first), has_address(second)) == (False, True)
    assert jobs(second) == before
    assert second.run("gnt-cluster", "list-tags").stdout.split() == ["kept"]
    for node in cluster.nodes:
        assert node.run("gnt-cluster", "getmaster").stdout.strip() == second.name
    assert second.run("gnt-debug", "delay", "-n", third.name, "0.01").returncode == 0
    watcher(first).wait_logged("this node is not the master any more")
    watcher(second).wait_logged("recovery begins")
    assert not watcher(first).log_lines("starting a daemon", services.MASTERD)
    # The old one is outvoted, should somebody start it.
    started = first.run("ganeti-masterd", within=60)
    assert started.returncode != 0
    assert second.name in started.stderr


def _without_power(cluster: clusters.Cluster) -> None:
    _, second, third = cluster.nodes
    before = jobs(second)
    second.power_off()

    done = third.run("gnt-cluster", "master-failover", within=90)

    assert done.returncode == 0, done.stderr
    assert f"{second.name} could not be told" in done.stderr
    assert (masterd(third).alive, has_address(third)) == (True, True)
    assert jobs(third) == before
    second.power_on()
    watcher(second).start()  # which starts the node daemon, and would start the master's
    qemus.wait_until(lambda: cluster.noded(second).alive, what="the node daemon", within=60)
    late = second.run("ganeti-masterd", within=90)
    assert late.returncode != 0
    assert third.run("gnt-cluster", "master-ping").returncode == 0
    told = second.layout.ssconf("master_node")
    qemus.wait_until(lambda: third.name in told.read_text(), what="the old master to be told")
    watcher(second).wait_logged("daemons to keep", "master=False")
    watcher(third).wait_logged("recovery begins")
    assert not masterd(second).alive


def _with_too_few(cluster: clusters.Cluster) -> None:
    first, second, third = cluster.nodes
    second.power_off()
    third.power_off()

    refused = first.run("gnt-cluster", "master-failover", within=60)

    assert refused.returncode == 1
    assert "1 of 3 nodes answer" in refused.stderr
    assert not masterd(first).alive
    meant = ("gnt-cluster", "master-failover", "--no-voting", "--yes-do-it")
    forced = first.run(*meant, within=120)
    assert forced.returncode == 0, forced.stderr
    assert masterd(first).alive


def test_the_master_changes_as_planned_after_a_failure_and_not_with_too_few(
    cluster: clusters.Cluster,
) -> None:
    _refused(cluster)
    _told_to_rest(cluster)
    _as_planned(cluster)
    _without_power(cluster)
    _with_too_few(cluster)
