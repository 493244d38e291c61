"""A cluster kept in etcd, on three nodes with a member each: whoever dies, another takes over."""

import time
from collections.abc import Iterator
from concurrent import futures

import pytest

from lab import qemus, scraping
from lab.cluster import candidates, clusters, founding, machines, namespaces, services
from lab.etcd import etcds
from pyganeti.masterd.election import leased

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("system-etcd"),
]


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave what is left here to go with the machines."""


@pytest.fixture(scope="module")
def kept() -> Iterator[candidates.Candidates]:
    """Make three machines a cluster that is kept in etcd."""
    if why_not := namespaces.why_not() or etcds.why_not():
        pytest.skip(why_not)
    with (
        clusters.Cluster(3) as cluster,
        etcds.on(cluster.nodes) as etcd,
        candidates.started(cluster, etcd) as made,
    ):
        yield made


def has_address(node: machines.Machine) -> bool:
    return founding.MASTER_ADDRESS in node.run("ip", "-br", "-4", "addr").stdout


def test_the_figures_of_each_candidate_say_who_leads_and_by_what(
    kept: candidates.Candidates,
) -> None:
    leader = kept.leader()
    found = {node.name: scraping.on(node, 1832) for node in kept.cluster.nodes}
    epochs = {one.value("ganeti_masterd_epoch") for one in found.values()}
    assert len(epochs) == 1
    assert epochs != {0}
    for name, figures in found.items():
        assert scraping.differences(figures, "masterd", partly=name != leader.name) == []
        assert figures.value("ganeti_masterd_store_info", kind="etcd") == 1
        states = figures.values("ganeti_masterd_standing", "state")
        here = "leading" if name == leader.name else "standby"
        assert [state for state, value in states.items() if value] == [here]
        lease = figures.value("ganeti_masterd_lease_seconds")
        assert (lease is not None and 0 < lease <= 8) == (name == leader.name)


def wait_address(there: machines.Machine, not_there: machines.Machine) -> None:
    qemus.wait_until(lambda: has_address(there), what="the address to be taken")
    assert not has_address(not_there)


def listed(node: machines.Machine) -> str:
    return node.run("gnt-job", "list", "--no-headers", "-o", "id,status").stdout


def test_every_candidate_answers_and_another_one_takes_over(kept: candidates.Candidates) -> None:
    first = kept.leader()
    for node in kept.cluster.nodes:
        done = node.run("gnt-debug", "delay", "0.01")
        assert done.returncode == 0, done.stderr
        assert node.run("gnt-cluster", "getmaster").stdout.strip() == first.name
    shown = first.run(
        "gnt-node", "list", "--no-headers", "-o", "name,leads,lease,epoch,follows,store"
    )
    for line in shown.stdout.splitlines():
        name, *leads, lease, epoch, follows, store = line.split()
        is_first = name == first.name
        assert leads == (["leading"] if is_first else ["standing", "by"])
        assert lease.endswith(f"/{leased.TTL}s") if is_first else lease == "-"
        assert (int(epoch), follows, store) == (1, first.name, "etcd")
    jobs = listed(first)
    assert [line.split() for line in jobs.splitlines()] == [[str(n), "success"] for n in (1, 2, 3)]

    watcher = next(node for node in kept.cluster.nodes if node is not first)
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(watcher.run, "gnt-debug", "delay", "50", within=60)
        qemus.wait_until(lambda: "running" in listed(watcher), what="a job to run")
        died = time.monotonic()
        kept.daemon(first).kill()
        second = kept.leader(but=first, within=20)
        assert time.monotonic() - died < 15
        # Who waited has waited on, and hears what became of the job.
        assert waiting.result().returncode == 1
        assert "Interrupted, because the master daemon ended" in waiting.result().stderr
    wait_address(second, first)
    for node in kept.cluster.nodes:
        if node is not first:
            assert listed(node).startswith(jobs)

    kept.stand_by(first)
    assert second.run("gnt-debug", "delay", "--submit", "50").returncode == 0
    qemus.wait_until(lambda: "running" in listed(second), what="a job to run")
    told = time.monotonic()
    kept.daemon(second).stop()
    third = kept.leader(but=second, within=20)
    assert time.monotonic() - told < 5
    wait_address(third, second)
    kept.stand_by(second)

    asked = time.monotonic()
    done = second.run("gnt-cluster", "master-failover")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - asked < 8
    assert kept.leader() is second
    assert f"{second.name} is to lead" in kept.daemon(third).log
    again = second.run("gnt-cluster", "master-failover")
    assert again.returncode == 1
    assert "leads the cluster already" in again.stderr
    voted = third.run("gnt-cluster", "master-failover", "--no-voting", "--yes-do-it")
    assert voted.returncode == 1
    assert "nobody votes" in voted.stderr


def test_an_etcd_that_was_given_up_takes_nothing_from_a_master_in_files(
    kept: candidates.Candidates,
) -> None:
    """It is the last: afterwards the cluster is in files."""
    away, new, other = kept.cluster.nodes
    for node in kept.cluster.nodes:
        kept.daemon(node).kill()
    for node in (new, other):
        node.layout.store_file.unlink()
    noded = services.Service(away, services.NODED)
    noded.kill()
    made = new.run("gnt-cluster", "master-failover", "--no-voting", "--yes-do-it", within=120)
    assert made.returncode == 0, made.stderr
    assert new.run("gnt-cluster", "add-tags", "in-files").returncode == 0

    noded.start()
    away.run("ganeti-masterd")
    daemon = kept.daemon(away)
    daemon.wait(lambda: not daemon.alive, "the one that was away to end")
    assert daemon.log_lines(f"{new.name} is the master", "of before")
    assert not away.layout.store_file.exists()
    done = new.run("gnt-debug", "delay", "0.01")
    assert done.returncode == 0, done.stderr
    assert new.run("gnt-cluster", "list-tags").stdout.split() == ["in-files"]
