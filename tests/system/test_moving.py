"""Instances move by jobs: a master daemon, its commands, three nodes, and guests that count."""

import re
from collections.abc import Iterator

import pytest

from lab import consoles
from lab.cluster import clusters, instances, machines, masters

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-moving"),
]

DOMAIN = machines.DOMAIN
WEB, DB, LOCAL = (f"{name}.{DOMAIN}" for name in ("web", "db", "local"))

# What a real master was seen to send for a migration.
AT_THE_SOURCE = (
    "instance_migratable instance_info hooks_runner node_info migration_info blockdev_open"
    " instance_migrate instance_get_migration_status instance_finalize_migration_src"
    " blockdev_close hooks_runner"
)
AT_THE_TARGET = (
    "bridges_exist hooks_runner node_info blockdev_close blockdev_open accept_instance"
    " instance_finalize_migration_dst blockdev_open hooks_runner"
)
NOT_FROM_JOBS = frozenset(("jobqueue_update", "upload_file_single", "write_ssconf_files"))


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    _, second, third = cluster.nodes
    placed = [
        (instances.Instance(WEB, cluster.shared, nics=1), second),
        (instances.Instance(DB, cluster.shared), second),
        (instances.Instance(LOCAL, cluster.shared, shared=False), third),
    ]
    with masters.started(cluster, placed) as started:
        yield started
        started.run("gnt-instance", "shutdown", "--all", "--force-multiple", "--timeout", "0")
    for instance, _ in placed:
        for path in sorted(instance.directory.iterdir()):
            path.unlink()
        instance.directory.rmdir()


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave it to the module's end: tests here go on from one another."""


@pytest.fixture
def web(cluster: clusters.Cluster, master: masters.Master) -> Iterator[machines.Machine]:
    """Have web run on the second node; return that. It is stopped at the end."""
    second = cluster.nodes[1]
    if place(master, WEB) != second.name:
        master.run("gnt-instance", "failover", "-f", "-n", second.name, WEB)
    master.run("gnt-instance", "startup", WEB)
    yield second
    for node in cluster.nodes:
        cluster.start(node)
    master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)
    assert {node.port: running(cluster, node) for node in cluster.nodes} == {
        node.port: [] for node in cluster.nodes
    }


def place(master: masters.Master, name: str) -> str:
    [[node]] = master.table("gnt-instance", "list", "-o", "pnode", name)
    return node


def console(node: machines.Machine, name: str = WEB) -> consoles.Console:
    return consoles.Console(node.layout.ctrl_dir / f"{name}.serial")


def running(cluster: clusters.Cluster, node: machines.Machine) -> list[str]:
    return sorted(cluster.call(node, "all_instances_info", ["kvm"], {}))


def calls_in(log: str) -> str:
    """Return the calls that a log has, in their order; one that is repeated at once only once."""
    found = [call for call in re.findall(r" call=(\w+)", log) if call not in NOT_FROM_JOBS]
    return " ".join(call for n, call in enumerate(found) if n == 0 or found[n - 1] != call)


def test_a_guest_goes_on_where_a_job_moved_it(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    third = cluster.nodes[2]
    with console(web) as guest:
        assert guest.wait_up().count() == 1
    before = [len(cluster.noded(node).log) for node in (web, third)]

    said = master.run("gnt-instance", "migrate", "-f", "-n", third.name, "web")

    logs = [
        cluster.noded(node).log[length:] for node, length in zip((web, third), before, strict=True)
    ]
    assert "memory transfer complete" in said
    with console(third) as guest:
        assert guest.count() == 2
    assert place(master, WEB) == third.name
    assert master.status(WEB) == "running"
    assert running(cluster, web) == []
    assert AT_THE_SOURCE in calls_in(logs[0])
    assert AT_THE_TARGET in calls_in(logs[1])
    # And back, standing still meanwhile.
    master.run("gnt-instance", "migrate", "-f", "--non-live", "-n", web.name, WEB)
    with console(web) as guest:
        assert guest.count() == 3
    assert running(cluster, third) == []
