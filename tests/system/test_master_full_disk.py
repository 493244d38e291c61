"""A master whose disk is full takes nothing on, loses nothing, and goes on by itself."""

import socket
from collections.abc import Iterator

import pytest

from lab import qemus
from lab.cluster import clusters, instances, machines, masters, namespaces

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.xdist_group("system-full-master")]

WEB = f"web.{machines.DOMAIN}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make one node with a disk of 16 MiB."""
    why_not = namespaces.why_not() or qemus.why_not()
    if why_not:
        pytest.skip(why_not)
    with clusters.Cluster(1, disk=16) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """All of it goes with the cluster."""


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    placed = [(instances.Instance(WEB, cluster.shared), cluster.master)]
    with masters.started(cluster, placed) as started:
        yield started


def state(master: masters.Master, job: str) -> str:
    [[status]] = master.table("gnt-job", "list", "-o", "status", job)
    return status


def test_what_was_accepted_ends_when_there_is_room_again_and_nothing_else_was(
    master: masters.Master,
) -> None:
    node = master.node
    submit = ("gnt-debug", "delay", "--locks", "--submit", "--print-jobid")
    runs = master.run(*submit, "--interruptible", "50").split()[-1]
    waits = master.run(*submit, "0.01").split()[-1]
    door = node.seen(node.layout.run_dir) / "socket" / f"delay-{runs}-0"
    qemus.wait_until(door.exists, what="a job to run")
    with node.full():
        refused = master.command("gnt-debug", "delay", "0.01")
        assert refused.returncode == 1
        assert "No space left" in refused.stderr
        assert master.command("gnt-cluster", "add-tags", "full").returncode == 1
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.connect(str(door))
            knocking.sendall(b"!")
        qemus.wait_until(lambda: not door.exists(), what="the job to have done its work")
        assert state(master, runs) == "running"
        assert state(master, waits) == "waiting"
        assert master.status(WEB) == "ADMIN_down"
    for job in (runs, waits):
        master.run("gnt-job", "wait", job)
        assert state(master, job) == "success"
    numbers = master.run("gnt-job", "list", "--no-headers", "-o", "id").split()
    assert numbers[-2:] == [runs, waits]
    master.run("gnt-cluster", "add-tags", "roomy")
    assert master.run("gnt-cluster", "list-tags").split() == ["roomy"]
    master.run("gnt-instance", "startup", WEB)
    master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)


def test_a_daemon_that_is_killed_while_its_disk_is_full_has_all_of_it_afterwards(
    master: masters.Master,
) -> None:
    node = master.node
    submit = ("gnt-debug", "delay", "--locks", "--submit", "--print-jobid")
    runs = master.run(*submit, "50").split()[-1]
    waits = master.run(*submit, "0.01").split()[-1]
    qemus.wait_until(lambda: state(master, runs) == "running", what="a job to run")
    with node.full():
        assert master.command("gnt-debug", "delay", "0.01").returncode == 1
        master.daemon.kill()
    master.daemon.start()
    master.run("gnt-job", "wait", waits)
    assert state(master, runs) == "error"
    assert state(master, waits) == "success"
    assert "full" not in master.run("gnt-cluster", "list-tags")
