"""A cluster is made in etcd, grows, and is moved to files and back while it runs."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from lab import qemus
from lab.cluster import clusters, founding, machines, namespaces, services
from lab.etcd import etcds

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
def cluster() -> Iterator[clusters.Cluster]:
    """Make two bare machines, and an etcd on both."""
    if why_not := namespaces.why_not() or etcds.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(2, founded=False) as made:
        yield made


@pytest.fixture(scope="module")
def etcd(cluster: clusters.Cluster) -> Iterator[etcds.Etcd]:
    with etcds.on(cluster.nodes[:1], tls=True) as running:
        yield running


def reached(etcd: etcds.Etcd) -> list[str]:
    """Return the options that say how it is reached; it wants to see certificates."""
    shown = etcd.client
    assert shown is not None
    return [
        "--etcd-endpoints",
        ",".join(etcd.endpoints),
        "--etcd-tls-ca",
        str(shown.authority),
        "--etcd-tls-cert",
        str(shown.certificate),
        "--etcd-tls-key",
        str(shown.key),
    ]


def masterd(node: machines.Machine) -> services.Service:
    return services.Service(node, services.MASTERD)


def run(node: machines.Machine, *line: str, within: float = 60) -> str:
    done = node.run(*line, within=within)
    assert done.returncode == 0, (line, done.stdout, done.stderr, masterd(node).log)
    return done.stdout


def jobs(node: machines.Machine) -> list[list[str]]:
    found = run(node, "gnt-job", "list", "--no-headers", "-o", "id,status")
    return [line.split() for line in found.splitlines()]


def wrong(node: machines.Machine) -> list[str]:
    """Return what is wrong with the cluster, but for what its machines lack."""
    said = node.run("gnt-cluster", "verify", within=60).stdout
    return [line for line in said.splitlines() if "ERROR" in line and "/proc" not in line]


def wait_standing_by(node: machines.Machine) -> None:
    """Wait until a node's daemon answers commands."""

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(node.layout.query_socket))
            return True
        return False

    qemus.wait_until(answers, what="a candidate to stand by", within=40)


def token_of(node: machines.Machine) -> str:
    node.spawn("ganeti-node-join", log="join.log")
    log = node.root / "join.log"
    qemus.wait_until(lambda: "gnj1-" in log.read_text(), what="a token")
    return next(line for line in log.read_text().split() if line.startswith("gnj1-"))


def _move(
    first: machines.Machine, second: machines.Machine, etcd: etcds.Etcd, archived: str
) -> None:
    """Go to files, and back."""
    before = jobs(first)
    run(first, "gnt-cluster", "convert-store", "--force", "files")
    assert jobs(first) == before
    assert run(first, "gnt-job", "list", "--no-headers", "-o", "id,archived", archived).split() == [
        archived,
        "Y",
    ]
    assert not first.layout.store_file.exists()
    masterd(second).wait(lambda: not masterd(second).alive, "the standby to end")
    assert not second.layout.store_file.exists()
    run(first, "gnt-debug", "delay", "-n", second.name, "0.01")
    refused = second.run("gnt-job", "list")
    assert refused.returncode == 11

    again = run(first, "gnt-cluster", "convert-store", "--force", "files")
    assert "already" in again
    before = jobs(first)
    run(first, "gnt-cluster", "convert-store", "--force", "etcd", *reached(etcd))
    assert jobs(first) == before
    wait_standing_by(second)
    run(second, "gnt-debug", "delay", "0.01")
    # One that missed the move makes no second master.
    masterd(second).stop()
    kept = second.layout.store_file
    kept.rename(kept.with_name("elsewhere"))
    refused = second.run("gnt-cluster", "master-failover", within=60)
    assert refused.returncode == 1
    assert f"{first.name} keeps the cluster in etcd" in refused.stderr
    kept.with_name("elsewhere").rename(kept)
    masterd(second).start()


def _leave(first: machines.Machine, second: machines.Machine, etcd: etcds.Etcd) -> None:
    """Have a node be no candidate any more, then no node, then no cluster."""
    run(first, "gnt-node", "modify", "--master-candidate=no", "--force", second.name)
    masterd(second).wait(lambda: not masterd(second).alive, "the standby to end")
    assert not second.layout.store_file.exists()
    assert wrong(first) == []

    run(first, "gnt-node", "modify", "--master-candidate=yes", second.name)
    wait_standing_by(second)
    run(first, "gnt-node", "remove", second.name)
    masterd(second).wait(lambda: not masterd(second).alive, "the standby to end")
    assert not second.layout.store_file.exists()
    assert etcd.member.control("get", "--prefix", "--keys-only", "/ganeti/").strip()
    run(first, "gnt-cluster", "destroy", "--yes-do-it")
    assert not etcd.member.control("get", "--prefix", "--keys-only", "/ganeti/").strip()
    assert not masterd(first).alive


def test_a_cluster_in_etcd_from_its_first_day_to_files_and_back(
    cluster: clusters.Cluster, etcd: etcds.Etcd
) -> None:
    first, second = cluster.nodes

    refused = first.run("gnt-cluster", "init", *reached(etcd), founding.NAME)
    assert refused.returncode == 1
    assert "go with --store etcd" in refused.stderr
    run(
        first,
        "gnt-cluster",
        "init",
        "--store",
        "etcd",
        *reached(etcd),
        founding.NAME,
    )
    assert first.layout.store_file.exists()
    run(first, "gnt-debug", "delay", "0.01")

    run(first, "gnt-node", "add", "--token", token_of(second), second.name)
    wait_standing_by(second)
    assert jobs(second) == jobs(first)
    assert wrong(first) == []
    kept = second.layout.store_file
    kept.rename(kept.with_name("elsewhere"))
    assert len(wrong(first)) == 1
    assert "it cannot take over" in wrong(first)[0]
    kept.with_name("elsewhere").rename(kept)
    told = run(first, "gnt-cluster", "info")
    assert f"  leader: {first.name}" in told
    assert "  store: etcd" in told
    assert f"  standing by: {second.name}" in told
    assert run(second, "gnt-debug", "delay", "0.01") == ""
    archived = jobs(first)[0][0]
    run(first, "gnt-job", "archive", archived)
    _move(first, second, etcd, archived)
    _leave(first, second, etcd)
