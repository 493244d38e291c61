"""A bare machine becomes a cluster by one command, and its master daemon comes back when killed."""

from collections.abc import Iterator

import pytest

from lab.cluster import calls, clusters, founding, machines, namespaces, services
from pyganeti.wire import noderpc

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("system-founding")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make two bare machines; the first founds a cluster by its own commands."""
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(2, founded=False) as made:
        done = made.on(made.master, *INIT, within=60)
        assert done.returncode == 0, done.stderr
        yield made


INIT = ("gnt-cluster", "init", "--master-netdev", "br0", founding.NAME)


def listed(cluster: clusters.Cluster, node: machines.Machine) -> list[str]:
    line = ("gnt-node", "list", "--no-headers", "-o", "name,role")
    done = cluster.on(node, *line)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_its_first_node_is_the_master_and_has_the_clusters_address(
    cluster: clusters.Cluster,
) -> None:
    first = cluster.master
    assert listed(cluster, first) == [first.name, "M"]
    addresses = first.run("ip", "-br", "-4", "addr", "show", "br0").stdout
    assert founding.MASTER_ADDRESS in addresses
    assert cluster.noded(first).alive
    assert cluster.service(first, services.MASTERD).alive


def test_its_node_daemon_trusts_its_own_certificates_alone(cluster: clusters.Cluster) -> None:
    layout = cluster.master.layout
    authority = layout.server_certificate.read_bytes()
    own = calls.Caller(cluster.room, layout.client_certificate.read_bytes(), authority)
    assert own.call(cluster.master.address, "version") == noderpc.PROTOCOL
    assert own.call(cluster.master.address, "master_node_name") == cluster.master.name
    assert layout.server_certificate.stat().st_mode & 0o777 == 0o600


def test_a_master_daemon_that_was_killed_comes_back(cluster: clusters.Cluster) -> None:
    masterd = cluster.service(cluster.master, services.MASTERD)
    masterd.kill()
    done = cluster.on(cluster.master, "gnt-node", "list")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    masterd.start()
    assert listed(cluster, cluster.master) == [cluster.master.name, "M"]


def test_a_cluster_is_not_founded_over_another(cluster: clusters.Cluster) -> None:
    done = cluster.on(cluster.master, *INIT)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert listed(cluster, cluster.master) == [cluster.master.name, "M"]


def test_a_machine_where_founding_fails_is_bare_again(cluster: clusters.Cluster) -> None:
    second = cluster.nodes[1]
    done = cluster.on(second, "gnt-cluster", "init", "nowhere.lab.example")
    assert done.returncode != 0
    assert "nowhere.lab.example" in done.stderr
    assert not second.layout.server_certificate.exists()
    assert not cluster.noded(second).alive
    assert not cluster.service(second, services.MASTERD).alive
