"""Instances move by jobs: a master daemon, its commands, three nodes, and guests that count."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator

import pytest

from lab import consoles, guests, qemus, qmpclient
from lab.cluster import clusters, conductor, instances, machines, masters, network

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
    """Have web run on the second node; return that."""
    with up(cluster, master, cluster.nodes[1], WEB) as node:
        yield node


@contextlib.contextmanager
def up(
    cluster: clusters.Cluster, master: masters.Master, node: machines.Machine, *names: str
) -> Iterator[machines.Machine]:
    """Have instances run on a node; stop them at the end, when none runs twice."""
    for name in names:
        if place(master, name) != node.name:
            master.run("gnt-instance", "failover", "-f", "-n", node.name, name)
    master.run("gnt-instance", "startup", *names)
    try:
        yield node
    finally:
        cluster.start(*cluster.nodes)
        if not master.daemon.alive:
            master.daemon.start()
        master.run("gnt-instance", "shutdown", "--timeout", "0", *names)
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


def under_way(master: masters.Master, target: machines.Machine) -> str:
    """Have web begin to move to a node; return the job's number."""
    said = master.run("gnt-instance", "migrate", "-f", "--submit", "-n", target.name, WEB)
    job = said.split()[-1]
    qemus.wait_until(
        lambda: "starting memory transfer" in master.run("gnt-job", "info", job),
        what="the guest to be under way",
    )
    return job


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


def test_all_guests_of_a_node_move_at_once(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    third = cluster.nodes[2]
    with up(cluster, master, cluster.nodes[1], WEB, DB) as second:
        said = master.run("gnt-node", "migrate", "-f", "-n", third.name, "node2")

        assert said.count("memory transfer complete") == 2
        assert running(cluster, second) == []
        assert running(cluster, third) == [DB, WEB]
        assert master.table("gnt-node", "list", "-o", "pinst_cnt", "node3") == [["3"]]
        # There is nothing to do any more.
        assert master.command("gnt-node", "migrate", "-f", "node2").returncode == 0
        assert "no instances" in master.command("gnt-node", "failover", "-f", "node2").stderr
        assert master.command("gnt-node", "failover", "-f", "nosuch").returncode == 1


def test_an_instance_that_fails_over_is_started_on_the_other_node(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    third = cluster.nodes[2]
    with console(web) as guest:
        assert guest.wait_up().count() == 1
    master.run("gnt-instance", "add-tags", WEB, "pyganeti:gave-up:1700000000")

    master.run("gnt-instance", "failover", "-f", "-n", third.name, WEB)

    assert master.run("gnt-instance", "list-tags", WEB) == ""  # forgiven

    with console(third) as guest:
        assert guest.wait_up().count() == 1  # it has booted anew
    assert (running(cluster, web), running(cluster, third)) == ([], [WEB])
    assert master.status(WEB) == "running"


def test_all_instances_of_a_node_fail_over_by_one_command(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    with up(cluster, master, cluster.nodes[1], WEB, DB) as second:
        master.run("gnt-node", "failover", "-f", "-I", "builtin", "node2")

        assert running(cluster, second) == []
        assert [master.status(name) for name in (WEB, DB)] == ["running", "running"]


def test_instances_go_down_in_an_emergency_and_come_back(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    with up(cluster, master, cluster.nodes[1], WEB) as second:
        said = master.run("gnt-cluster", "epo", "-f", "--shutdown-timeout", "5", "node2")

        assert "power it off by hand" in said
        assert running(cluster, second) == []
        # It is still wanted to run.
        assert master.status(WEB) == "ERROR_down"
        master.run("gnt-cluster", "epo", "--on", "-f", "node2")
        assert running(cluster, second) == [WEB]


def test_an_instance_that_is_down_fails_over_without_starting(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    other = next(node for node in cluster.nodes[1:] if node.name != place(master, DB))
    refused = master.command("gnt-instance", "migrate", "-f", "-n", other.name, DB)
    assert refused.returncode == 1
    assert "please use failover" in refused.stderr

    master.run("gnt-instance", "migrate", "-f", "--allow-failover", "-n", other.name, DB)

    assert place(master, DB) == other.name
    assert master.status(DB) == "ADMIN_down"
    assert running(cluster, other) == []


def test_an_instance_stays_on_a_node_that_may_still_run_it(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    cluster.noded(web).kill()
    assert master.status(WEB) == "ERROR_nodedown"

    refused = master.command("gnt-instance", "failover", "-f", "-n", "node3", WEB)

    assert refused.returncode == 1
    assert "offline=yes" in refused.stderr
    assert place(master, WEB) == web.name


def test_an_instance_leaves_a_node_that_is_dead(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    web.power_off()
    master.run("gnt-node", "modify", "--offline=yes", "--auto-promote", "node2")
    try:
        assert master.status(WEB) == "ERROR_nodeoffline"

        said = master.run("gnt-instance", "failover", "-f", WEB)

        assert "via iallocator builtin" in said
        new = next(node for node in cluster.nodes if node.name == place(master, WEB))
        assert new is not web
        with console(new) as guest:
            assert guest.wait_up().count() == 1
        assert master.status(WEB) == "running"
    finally:
        cluster.start(web)
        master.run("gnt-node", "modify", "--offline=no", "-f", "node2")


def test_a_guest_moves_to_where_the_allocator_says(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    with console(web) as guest:
        assert guest.wait_up().count() == 1

    said = master.run("gnt-instance", "migrate", "-f", WEB)

    assert "via iallocator builtin" in said
    new = next(node for node in cluster.nodes if node.name == place(master, WEB))
    assert new is not web
    with console(new) as guest:
        assert guest.count() == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["migrate", "-n", "node2", LOCAL], "no other node has its disks"),
        (["failover", "-n", "node2", LOCAL], "no other node has its disks"),
        (["migrate", "-n", "node9", WEB], "'node9' not known"),
        (["migrate", "-n", "node3", "-I", "hail", WEB], "not both"),
        (["migrate", "-n", "node3", "--non-live", "--migration-mode", "live", WEB], "not both"),
        (["migrate", "--cleanup", WEB], "not seem to be running at all"),
        (["failover", "-n", "node3", "nosuch"], "there is no instance 'nosuch'"),
    ],
)
def test_what_cannot_be_moved_is_refused_and_says_why(
    master: masters.Master, words: list[str], why: str
) -> None:
    refused = master.command("gnt-instance", words[0], "-f", *words[1:])

    assert refused.returncode == 1
    assert why in refused.stderr


def test_nothing_moves_unless_somebody_says_yes(
    master: masters.Master, web: machines.Machine
) -> None:
    asked = master.command("gnt-instance", "migrate", "-n", "node3", WEB)

    assert asked.returncode == 13
    assert place(master, WEB) == web.name


def test_a_dry_run_moves_nothing(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    master.run("gnt-instance", "migrate", "--dry-run", "-n", "node3", WEB)

    assert running(cluster, web) == [WEB]


def test_a_guest_stays_where_its_target_has_no_bridge(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    third = cluster.nodes[2]
    third.namespace.configure([f"link set {network.BRIDGE} name elsewhere"])
    try:
        refused = master.command("gnt-instance", "migrate", "-f", "-n", third.name, WEB)
    finally:
        third.namespace.configure([f"link set elsewhere name {network.BRIDGE}"])

    assert refused.returncode == 1
    assert network.BRIDGE in refused.stderr
    assert (running(cluster, web), running(cluster, third)) == ([WEB], [])


def test_a_guest_stays_whose_target_dies_on_the_way(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    third = cluster.nodes[2]
    with console(web) as guest:
        assert guest.wait_up().count() == 1
        cluster.lose(web, third)
        try:
            job = under_way(master, third)
            inner = int((third.layout.run_dir / "kvm-hypervisor/pid" / WEB).read_text())
            os.kill(third.namespace.processes()[inner], signal.SIGKILL)
        finally:
            cluster.find(web, third)

        ended = master.command("gnt-job", "watch", job)

        assert ended.returncode == 1
        assert "Could not migrate instance" in ended.stderr
        assert guest.count() == 2
    assert (running(cluster, web), running(cluster, third)) == ([WEB], [])
    assert place(master, WEB) == web.name
    # Nothing of it is in the way of the next.
    master.run("gnt-instance", "migrate", "-f", "-n", third.name, WEB)
    with console(third) as guest:
        assert guest.count() == 3


def test_an_instance_lives_on_all_nodes(cluster: clusters.Cluster, master: masters.Master) -> None:
    first, second, third = cluster.nodes
    name = f"new.{DOMAIN}"
    image = cluster.shared / "polite.img"
    image.write_bytes(guests.polite())
    try:
        master.run(
            "gnt-instance", "add", "-t", "sharedfile", "-s", "4M", "-n", second.name,
            "-o", "image", "-O", f"image={image},sha256=unchecked", "-B", "memory=16M",
            "--no-name-check", "--no-ip-check", "--ignore-ipolicy",
            "--net", "0:mode=bridged,link=br0", name,
        )  # fmt: skip
        with console(second, name) as guest:
            assert guest.wait_up().count() == 1
        master.run("gnt-instance", "migrate", "-f", "-n", third.name, name)
        with console(third, name) as guest:
            assert guest.count() == 2
        master.run("gnt-instance", "failover", "-f", "-n", first.name, name)
        with console(first, name) as guest:
            assert guest.wait_up().count() == 1
        assert master.table("gnt-instance", "list", "-o", "pnode,status", name) == [
            [first.name, "running"]
        ]
    finally:
        image.unlink()
        master.run("gnt-instance", "remove", "-f", "--shutdown-timeout", "0", name)
    assert master.command("gnt-instance", "info", name).returncode == 1


# The master daemon is killed in between.


@contextlib.contextmanager
def interrupted(
    cluster: clusters.Cluster, master: masters.Master, target: machines.Machine
) -> Iterator[None]:
    """Kill the daemon while a guest cannot reach its target.

    At the end the daemon is started again, which ends the job in an error.
    """
    source = cluster.nodes[1]
    cluster.lose(source, target)
    try:
        job = under_way(master, target)
        master.daemon.kill()
        yield
    finally:
        cluster.find(source, target)
    master.daemon.start()
    assert master.table("gnt-job", "list", "-o", "status", job) == [["error"]]


def test_a_migration_whose_master_daemon_died_is_undone(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    third = cluster.nodes[2]
    with console(web) as guest:
        assert guest.wait_up().count() == 1
        with interrupted(cluster, master, third):
            with qmpclient.Client(web.layout.ctrl_dir / f"{WEB}.qmp") as qmp:
                qmp.command("migrate-set-parameters", max_bandwidth=5000)
                cluster.find(web, third)
                qemus.wait_until(
                    lambda: qmp.command("query-migrate")["status"] == "active",
                    what="the guest to be under way",
                )
            assert running(cluster, third) == [WEB]  # it waits for the guest

        said = master.run("gnt-instance", "migrate", "-f", "--cleanup", WEB)

        assert "confirmed to be running on its primary node" in said
        assert guest.count() == 2
    assert (running(cluster, web), running(cluster, third)) == ([WEB], [])
    assert place(master, WEB) == web.name
    assert master.status(WEB) == "running"


def test_a_migration_that_came_to_its_end_without_its_master_daemon_is_finished(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    third = cluster.nodes[2]
    with console(web) as guest:
        assert guest.wait_up().count() == 1
    with interrupted(cluster, master, third):
        cluster.find(web, third)
        with qmpclient.Client(web.layout.ctrl_dir / f"{WEB}.qmp") as qmp:
            qemus.wait_until(
                lambda: qmp.command("query-migrate")["status"] == "completed",
                what="the guest to have left",
            )
    # A second try hurts nobody, and says what to do.
    again = master.command("gnt-instance", "migrate", "-f", "-n", third.name, WEB)
    assert again.returncode == 1
    assert "--cleanup" in again.stderr

    said = master.run("gnt-instance", "migrate", "-f", "--cleanup", "-n", third.name, WEB)

    assert "finishing its migration" in said
    with console(third) as guest:
        assert guest.count() == 2
    assert (running(cluster, web), running(cluster, third)) == ([], [WEB])
    assert place(master, WEB) == third.name
    assert master.status(WEB) == "running"


def test_a_guest_that_moved_unrecorded_is_found(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    third = cluster.nodes[2]
    with console(web) as guest:
        assert guest.wait_up().count() == 1
    instance = instances.Instance(WEB, cluster.shared, nics=1)
    conductor.Conductor(cluster).migrate(instance, web, third)
    statuses = dict(master.table("gnt-instance", "list", "-o", "name,status"))
    assert statuses[WEB] == "ERROR_wrongnode"
    # Its disk is in use: whatever is tried, it does not run twice.
    assert master.command("gnt-instance", "startup", WEB).returncode == 1

    said = master.run("gnt-instance", "migrate", "-f", "--cleanup", WEB)

    assert "running on secondary node (node3.lab.example), updating config" in said
    with console(third) as guest:
        assert guest.count() == 2
    assert place(master, WEB) == third.name
    assert master.status(WEB) == "running"


def test_a_shutdown_whose_master_daemon_died_is_finished_by_the_next(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    with console(web) as guest:
        guest.wait_up()
        guest.say("Z")  # deaf from now on
    master.run("gnt-instance", "shutdown", "--submit", "--timeout", "600", WEB)
    qemus.wait_until(
        lambda: master.table("gnt-instance", "list", "-o", "admin_state", WEB) == [["down"]],
        what="it to be marked as down",
    )
    master.daemon.kill()
    master.daemon.start()
    assert master.status(WEB) == "ERROR_up"

    master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)

    assert running(cluster, web) == []
    assert master.status(WEB) == "ADMIN_down"
