"""Nodes change their roles: candidates, drained, offline, and back; verification sees to it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cluster import clusters, machines, masters, namespaces

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("system-node-roles")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(3) as made:
        yield made


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    with masters.started(cluster, [], candidate_pool_size=2, modify_ssh_setup=False) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Look for nothing: the cluster is these tests' own, and goes with them."""


@pytest.fixture
def all_candidates(master: masters.Master, cluster: clusters.Cluster) -> None:
    """Begin with every node a candidate."""
    for name, found in master.table("gnt-node", "list", "-o", "name,role"):
        if found not in {"C", "M"}:
            master.run("gnt-node", "modify", "-f", "-C", "yes", name)


def role(master: masters.Master, node: machines.Machine) -> str:
    [[found]] = master.table("gnt-node", "list", "-o", "role", node.name)
    return found


def has_configuration(node: machines.Machine) -> bool:
    return node.seen(node.root / "var/lib/ganeti/config.data").exists()


def certificates(node: machines.Machine) -> list[str]:
    path = node.seen(node.root / "var/lib/ganeti/ssconf_master_candidates_certs")
    return path.read_text().splitlines()


@pytest.mark.usefixtures("all_candidates")
def test_a_candidate_that_is_none_any_more_puts_its_configuration_aside(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    other = cluster.nodes[1]
    assert has_configuration(other)
    before = certificates(cluster.master)

    said = master.run("gnt-node", "modify", "-C", "no", other.name)

    assert "master_candidate -> False" in said
    assert role(master, other) == "R"
    assert not has_configuration(other)
    assert len(certificates(cluster.master)) == len(before) - 1

    said = master.run("gnt-node", "modify", "-C", "yes", other.name)
    assert "master_candidate -> True" in said
    assert sorted(certificates(cluster.master)) == sorted(before)
    assert has_configuration(other)


@pytest.mark.usefixtures("all_candidates")
def test_too_few_candidates_need_others_to_be_promoted(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    second, third = cluster.nodes[1:]
    master.run("gnt-node", "modify", "-C", "no", third.name)

    refused = master.command("gnt-node", "modify", "-D", "yes", second.name)
    assert refused.returncode == 1
    assert "--auto-promote" in refused.stderr

    said = master.run("gnt-node", "modify", "-D", "yes", "--auto-promote", second.name)
    assert f"Promoted nodes to master candidate role: {third.name}" in said
    assert (role(master, second), role(master, third)) == ("D", "C")

    said = master.run("gnt-node", "modify", "-D", "no", "--json", second.name)
    assert ["drained", "False"] in json.loads(said.splitlines()[-1])


@pytest.mark.usefixtures("all_candidates")
def test_an_offline_node_is_not_asked_and_comes_back_when_it_answers(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    third = cluster.nodes[2]
    master.run("gnt-node", "modify", "-O", "yes", third.name)
    assert role(master, third) == "O"
    verdicts = master.run("gnt-cluster", "verify", "-v", "-I", "ENODESETUP,ECLUSTERFILECHECK",
                          "-I", "ECLUSTERCERT", "-I", "ENODENET")  # fmt: skip
    assert f"* Skipping offline node {third.name}" in verdicts
    assert "NOTICE: 1 offline node(s) found." in verdicts

    refused = master.command("gnt-node", "modify", "-O", "no", third.name)
    assert refused.returncode == 13
    with_daemon = cluster.noded(third)
    with_daemon.kill()
    refused = master.command("gnt-node", "modify", "-f", "-O", "no", third.name)
    assert refused.returncode == 1
    assert "fails to report its version" in refused.stderr
    with_daemon.start()

    said = master.run("gnt-node", "modify", "-f", "-O", "no", third.name)
    assert "offline -> False" in said


def test_a_silent_node_is_a_finding(master: masters.Master, cluster: clusters.Cluster) -> None:
    second = cluster.nodes[1]
    daemon = cluster.noded(second)
    daemon.kill()
    try:
        done = master.command("gnt-cluster", "verify", "--error-codes")
    finally:
        daemon.start()

    assert done.returncode == 1
    assert f"ERROR:ENODERPC:node:{second.name}:while contacting node:" in done.stdout


def test_the_master_keeps_its_role(master: masters.Master, cluster: clusters.Cluster) -> None:
    for flag in ("-C=no", "-O=yes", "-D=yes"):
        option, _, value = flag.partition("=")
        done = master.command("gnt-node", "modify", option, value, cluster.master.name)
        assert done.returncode == 1
        assert "master-failover" in done.stderr


def test_parameters_of_a_node_are_its_own_or_its_groups(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    second = cluster.nodes[1]
    master.run("gnt-node", "modify", "--node-parameters", "spindle_count=3", second.name)
    told = json.loads(master.run("gnt-node", "info", "--json", second.name))
    assert told["node parameters"]["spindle_count"] == 3
    assert told["primary ip"] == second.address

    master.run("gnt-node", "modify", "--node-parameters", "spindle_count=default", second.name)
    told = json.loads(master.run("gnt-node", "info", "--json", second.name))
    assert told["node parameters"]["spindle_count"] == "default (1)"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing to change"),
        (("--node-parameters", "nosuch=1"), "nosuch"),
        (("--node-parameters", "exclusive_storage=yes"), "group level"),
        (("--node-powered", "yes"), "out-of-band"),
        (("-s", "nonsense"), "valid IPv4"),
        (("-s", "10.1.2.3"), "--force"),
        (("-C", "yes", "-D", "yes"), "more than one state"),
        (("--disk-state", "plain:disk_total=1"), "plain/xenvg"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(
    master: masters.Master, cluster: clusters.Cluster, words: tuple[str, ...], says: str
) -> None:
    done = master.command("gnt-node", "modify", *words, cluster.nodes[1].name)

    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_node_without_instances_may_have_none(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    second = cluster.nodes[1]
    said = master.run("gnt-node", "modify", "--vm-capable", "no", second.name)
    assert "vm_capable -> False" in said
    master.run("gnt-node", "modify", "--vm-capable", "yes", second.name)


def test_states_are_recorded(master: masters.Master, cluster: clusters.Cluster) -> None:
    second = cluster.nodes[1]
    master.run("gnt-node", "modify", "--hypervisor-state", "kvm:mem_total=2048",
               "--disk-state", "plain/xenvg:disk_total=99", second.name)  # fmt: skip


def test_the_master_is_not_rebooted_by_mistake(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    done = master.command("gnt-node", "powercycle", cluster.master.name)
    assert done.returncode == 13
    done = master.command("gnt-node", "powercycle", "--confirm", cluster.master.name)
    assert done.returncode == 1
    assert "is the master" in done.stderr


def test_whoever_is_no_node_is_told(master: masters.Master) -> None:
    assert "no node" in master.command("gnt-node", "info", "nosuch").stderr
    assert "not known" in master.command("gnt-node", "modify", "-C", "no", "nosuch").stderr


@pytest.mark.usefixtures("all_candidates")
def test_a_larger_pool_is_filled(master: masters.Master, cluster: clusters.Cluster) -> None:
    third = cluster.nodes[2]
    master.run("gnt-node", "modify", "-C", "no", third.name)

    said = master.run("gnt-cluster", "modify", "-C", "3")
    assert f"Promoted nodes to master candidate role: {third.name}" in said
    assert role(master, third) == "C"

    said = master.run("gnt-cluster", "modify", "-C", "2")
    assert "more nodes are candidates (3) than desired (2)" in said


def test_storage_is_listed(master: masters.Master, cluster: clusters.Cluster) -> None:
    rows = master.table("gnt-node", "list-storage", "--storage-type", "sharedfile", "-o",
                        "node,type,size,free,allocatable", cluster.master.name)  # fmt: skip
    [[name, kind, size, free, allocatable]] = rows
    assert (name, kind, allocatable) == (cluster.master.name, "sharedfile", "Y")
    assert int(size) >= int(free) > 0

    every = master.run("gnt-node", "list-storage", "--json", "-o", "node")
    assert sorted(json.loads(line)["node"] for line in every.splitlines()) == sorted(
        node.name for node in cluster.nodes
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("list-storage", "--storage-type", "lvm-vg"), "not enabled"),
        (("list-storage", "-o", "nosuch"), "no fields nosuch"),
        (("volumes", "-o", "nosuch"), "no fields nosuch"),
        (("modify-storage", "node1", "lvm-pv", "/dev/x"), "nothing to change"),
        (("modify-storage", "node1", "lvm-pv", "/dev/x", "--allocatable", "no"), "not enabled"),
        (("repair-storage", "node1", "lvm-vg", "xenvg"), "not enabled"),
        (("power", "off"), "name the nodes"),
        (("power", "cycle", "-f", "node1"), "master"),
        (("restricted-command", "x"), "name nodes"),
    ],
)
def test_storage_and_power_that_there_is_not_are_refused(
    master: masters.Master, words: tuple[str, ...], says: str
) -> None:
    done = master.command("gnt-node", *words)

    assert done.returncode == 1
    assert says in done.stderr


def test_nodes_are_powered_by_a_program(
    master: masters.Master, cluster: clusters.Cluster, tmp_path: Path
) -> None:
    second, third = cluster.nodes[1:]
    program = tmp_path / "power"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        "power-status) echo '{\"powered\": true}' ;;\n"
        'health) echo \'[["fan", "OK"], ["disk", "WARNING"]]\' ;;\n'
        "*) [ $2 = node3.lab.example ] && exit 1; exit 0 ;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    for node in (second, third):
        master.run("gnt-node", "modify", "--node-parameters", f"oob_program={program}", node.name)

    assert master.table("gnt-node", "power", "status", second.name) == [[second.name, "powered"]]
    health = master.command("gnt-node", "health", second.name)
    assert "fan=OK" in health.stdout
    assert "disk=WARNING" in health.stdout

    off = master.command("gnt-node", "power", "off", "-f", "--auto-promote", second.name)
    assert off.returncode == 0, off.stderr
    assert "invoked" in off.stdout
    told = json.loads(master.run("gnt-node", "info", "--json", second.name))
    assert (told["offline"], told["powered"]) == (True, False)
    refused = master.command("gnt-node", "modify", "-f", "-O", "no", second.name)
    assert "needs to be turned on" in refused.stderr
    failed = master.command("gnt-node", "power", "on", third.name)
    assert failed.returncode == 1
    assert "(nodata)" in failed.stdout
    master.run("gnt-node", "power", "on", second.name)
    master.run("gnt-node", "modify", "-f", "-O", "no", second.name)
    for node in (second, third):
        words = ("--node-parameters", "oob_program=default", node.name)
        master.run("gnt-node", "modify", *words)
    unable = master.command("gnt-node", "power", "status", second.name)
    assert unable.returncode == 1
    assert "(unavail)" in unable.stdout


def test_nodes_go_off_in_an_emergency_and_come_back(
    master: masters.Master, cluster: clusters.Cluster, tmp_path: Path
) -> None:
    second = cluster.nodes[1]
    told = tmp_path / "told"
    program = tmp_path / "power"
    program.write_text(f'#!/bin/sh\necho "$1 $2" >>{told}\n')
    program.chmod(0o755)
    master.run("gnt-node", "modify", "--node-parameters", f"oob_program={program}", second.name)

    refused = master.command("gnt-cluster", "epo", "-f", cluster.master.name)
    assert refused.returncode == 1
    assert "master-failover" in refused.stderr
    assert master.command("gnt-cluster", "epo", "-f").returncode == 1
    assert master.command("gnt-cluster", "epo", second.name).returncode == 13
    assert not told.exists()

    master.run("gnt-cluster", "epo", "-f", second.name)
    assert told.read_text() == f"power-off {second.name}\n"
    assert master.table("gnt-node", "list", "-o", "powered", second.name) == [["N"]]
    assert "off already" in master.run("gnt-cluster", "epo", "-f", second.name)
    master.run("gnt-cluster", "epo", "--on", "-f", "--power-delay", "0", second.name)
    assert told.read_text().splitlines()[1:] == [f"power-on {second.name}"]
    assert master.table("gnt-node", "list", "-o", "powered", second.name) == [["Y"]]
    words = ("--node-parameters", "oob_program=default", second.name)
    master.run("gnt-node", "modify", *words)


def test_volumes_of_nodes_without_lvm_are_none(master: masters.Master) -> None:
    done = master.command("gnt-node", "volumes", "--no-headers")

    assert done.returncode == 0
    assert done.stdout == ""


def test_a_program_that_nodes_allow_is_run_on_them(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    for node in cluster.nodes:
        folder = node.seen(node.root / "etc/ganeti/restricted-commands")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        script = folder / "say"
        script.write_text(f"#!/bin/sh\necho here is {node.port}\n")
        script.chmod(0o755)
    second, third = cluster.nodes[1:]

    said = master.run("gnt-node", "restricted-command", "-M", "say", second.name, third.name)
    assert said.splitlines() == [f"{node.name}: here is {node.port}" for node in (second, third)]
    every = json.loads(
        master.run("gnt-node", "restricted-command", "--json", "-g", "default", "say")
    )
    assert {(name, is_good) for name, is_good, _ in every} == {
        (node.name, True) for node in cluster.nodes
    }
