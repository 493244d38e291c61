"""Verification sees guests: those that should run and do not, and those that nobody should run."""

from collections.abc import Iterator

import pytest

from lab import qemus
from lab.cluster import clusters, conductor, instances, machines, masters, namespaces

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-verify-guests"),
]

NAME = f"web.{machines.DOMAIN}"
STRANGER = f"stranger.{machines.DOMAIN}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(2) as made:
        yield made


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    placed = [(instances.Instance(NAME, cluster.shared), cluster.nodes[1])]
    with masters.started(cluster, placed, modify_ssh_setup=False) as started:
        yield started
        started.run("gnt-instance", "shutdown", "--timeout", "0", NAME)


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Look for nothing: the cluster is these tests' own, and goes with them."""


def codes(master: masters.Master) -> set[str]:
    """Verify; return the codes of what is wrong with nodes' and instances' running."""
    said = master.command("gnt-cluster", "verify", "--error-codes", "--no-nplus1-mem").stdout
    assert "* Other Notes" in said, said
    found = [line.split(" - ", 1)[1] for line in said.splitlines() if " - ERROR:" in line]
    return {":".join(line.split(":")[1:4]) for line in found if "INSTANCE" in line}


def test_guests_that_run_where_they_should_are_fine(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    assert codes(master) == set()
    master.run("gnt-instance", "startup", NAME)
    assert codes(master) == set()


def test_a_guest_that_died_and_one_that_nobody_knows_are_told(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    master.run("gnt-instance", "startup", NAME)
    first, second = cluster.nodes
    stranger = instances.Instance(STRANGER, cluster.shared, disks=0)
    hand = conductor.Conductor(cluster)
    hand.start(stranger, first)
    try:
        pid = int(second.layout.kvm_pid_dir.joinpath(NAME).read_text())
        assert second.run("kill", "-9", str(pid)).returncode == 0
        assert codes(master) == {
            f"EINSTANCEDOWN:instance:{NAME}",
            f"ENODEORPHANINSTANCE:node:{first.name}",
        }
    finally:
        hand.stop(stranger, first, timeout=0)


def test_a_guest_on_the_wrong_node_is_told(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    master.run("gnt-instance", "shutdown", "--timeout", "0", NAME)
    first = cluster.nodes[0]
    wrong = instances.Instance(NAME, cluster.shared, disks=0)
    hand = conductor.Conductor(cluster)
    hand.start(wrong, first)
    try:
        assert codes(master) == {f"EINSTANCEWRONGNODE:instance:{NAME}"}
    finally:
        hand.stop(wrong, first, timeout=0)
