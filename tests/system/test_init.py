"""`gnt-cluster init`: what it makes, what it refuses, and that it takes back what it could not."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import nodedaemons, qemus
from lab.cluster import clusters, founding, machines, namespaces, services
from pyganeti.wire import joining, noderpc

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(namespaces.why_not()), reason=namespaces.why_not()),
]

NAME = founding.NAME


@pytest.fixture
def bare() -> Iterator[clusters.Cluster]:
    with clusters.Cluster(1, founded=False) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Each test has machines of its own, of which nothing stays."""


def masterd(node: machines.Machine) -> services.Service:
    return services.Service(node, services.MASTERD)


def state_of(node: machines.Machine) -> list[str]:
    directory = node.seen(node.layout.state_dir)
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir())


def test_one_command_makes_a_cluster_that_does_what_it_is_told(bare: clusters.Cluster) -> None:
    [node] = bare.nodes

    made = node.run("gnt-cluster", "init", NAME)

    assert made.returncode == 0, made.stderr
    assert node.run("gnt-cluster", "getmaster").stdout.strip() == node.name
    assert node.run("gnt-debug", "delay", "0.01").returncode == 0
    listed = node.run("gnt-job", "list", "--no-headers", "--separator", "|").stdout.split()
    assert listed == ["1|success|CLUSTER_POST_INIT", "2|success|TEST_DELAY(0.01)"]
    nodes = node.run("gnt-node", "list", "-o", "name,role,offline", "--no-headers").stdout.split()
    assert nodes == [node.name, "M", "N"]
    for secret in ("server.pem", "client.pem", "hmac.key", "cluster-domain-secret", "rapi.pem"):
        mode = node.seen(node.layout.state_dir / secret).stat().st_mode
        assert mode & 0o777 == 0o600, secret
    addresses = node.run("ip", "-o", "address", "show").stdout
    assert node.run("getent", "hosts", NAME).stdout.split()[0] in addresses


def test_a_second_cluster_on_the_same_machine_is_refused(bare: clusters.Cluster) -> None:
    [node] = bare.nodes
    assert node.run("gnt-cluster", "init", NAME).returncode == 0

    again = node.run("gnt-cluster", "init", "other.example.com", "--master-ip", "192.0.2.200")

    assert again.returncode == 1
    assert f"the cluster {NAME} already" in again.stderr
    assert node.run("gnt-job", "list").returncode == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nowhere.example.com"], "--master-ip"),
        ([f"node1.{machines.DOMAIN}"], "name of its own"),
        ([NAME, "--primary-ip", "203.0.113.9"], "not an address of this machine"),
        ([NAME, "--mac-prefix", "zz"], "MAC prefix"),
        ([NAME, "--enabled-disk-templates", "paper"], "paper"),
        ([NAME, "-H", "kvm:nosuch=1"], "nosuch"),
        ([NAME, "-H", "xen-pvm:acpi=no"], "xen-pvm"),
        ([NAME, "--enabled-hypervisors", "lxc"], "lxc"),
        ([NAME, "--ipolicy-std-specs", "wheels=4"], "wheels"),
        ([NAME, "--uid-pool", "9-1"], "9-1"),
    ],
)
def test_what_cannot_be_a_cluster_is_refused_and_nothing_written(
    bare: clusters.Cluster, words: list[str], why: str
) -> None:
    [node] = bare.nodes

    refused = node.run("gnt-cluster", "init", *words)

    assert refused.returncode != 0
    assert why in refused.stderr
    assert state_of(node) == []


def test_a_step_that_fails_takes_everything_back(bare: clusters.Cluster) -> None:
    [node] = bare.nodes
    # The master daemon cannot have its sockets: something else lies in their place.
    node.seen(node.layout.run_dir / "socket").mkdir(parents=True)
    node.seen(node.layout.query_socket).mkdir()

    failed = node.run("gnt-cluster", "init", NAME)

    assert failed.returncode == 1
    assert "ganeti-masterd did not start" in failed.stderr
    assert not bare.noded(node).alive
    assert not masterd(node).alive
    assert state_of(node) == ["rapi"]
    node.seen(node.layout.query_socket).rmdir()
    assert node.run("gnt-cluster", "init", NAME).returncode == 0


@pytest.mark.parametrize("moment", ["server.pem", "config.data"])
def test_a_machine_that_shuts_down_meanwhile_is_bare_again(
    bare: clusters.Cluster, moment: str
) -> None:
    [node] = bare.nodes
    state = node.seen(node.layout.state_dir)
    pid = node.spawn("gnt-cluster", "init", NAME, log="init.log")
    qemus.wait_until((state / moment).exists, what=moment)

    os.kill(pid, signal.SIGTERM)

    qemus.wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), what="the command to end")
    assert state_of(node) == ["rapi"], (node.root / "init.log").read_text()
    assert not bare.noded(node).alive
    assert not masterd(node).alive
    assert node.run("gnt-cluster", "init", NAME).returncode == 0


def test_a_killed_master_daemon_comes_back_with_its_jobs(bare: clusters.Cluster) -> None:
    [node] = bare.nodes
    assert node.run("gnt-cluster", "init", NAME).returncode == 0
    submitted = node.run("gnt-debug", "delay", "600", "--submit")
    assert submitted.returncode == 0, submitted.stderr
    qemus.wait_until(lambda: "running" in node.run("gnt-job", "list").stdout, what="the job to run")

    masterd(node).kill()
    assert node.run("ganeti-masterd").returncode == 0

    listed = node.run("gnt-job", "list", "-o", "id,status", "--no-headers", "--separator", "|")
    assert listed.stdout.split() == ["1|success", "2|error"]
    assert node.run("gnt-debug", "delay", "0.01").returncode == 0


def test_a_cluster_that_is_destroyed_leaves_a_bare_machine(bare: clusters.Cluster) -> None:
    [node] = bare.nodes
    assert node.run("gnt-cluster", "init", NAME).returncode == 0
    asked = node.run("gnt-cluster", "destroy")
    assert asked.returncode == 1
    assert "--yes-do-it" in asked.stderr

    done = node.run("gnt-cluster", "destroy", "--yes-do-it")

    assert done.returncode == 0, done.stderr
    qemus.wait_until(lambda: not bare.noded(node).alive, what="the node daemon to end")
    assert not masterd(node).alive
    assert founding.MASTER_ADDRESS not in node.run("ip", "-br", "-4", "addr").stdout
    secrets = {"server.pem", "client.pem", "hmac.key", "config.data", "rapi.pem"}
    left = set(state_of(node))
    assert not left & secrets
    assert not [name for name in left if name.startswith("ssconf_")]
    assert node.run("gnt-cluster", "master-ping").returncode == 1
    assert node.run("gnt-cluster", "init", NAME).returncode == 0


def test_all_that_is_said_of_a_cluster_is_in_its_configuration(bare: clusters.Cluster) -> None:
    [node] = bare.nodes

    made = node.run(
        "gnt-cluster", "init", "-H", "kvm:acpi=no,boot_order=cdrom", "-B", "memory=256M,vcpus=2",
        "-N", "link=br7", "--ipolicy-std-specs", "memory-size=512M,cpu-count=2",
        "--ipolicy-vcpu-ratio", "6", "--uid-pool", "4000-4019,4030", "-C", "3",
        "--node-parameters", "spindle_count=4", "-D", "rbd:pool=vms", "--user-shutdown", "no",
        "--compression-tools", "gzip,lzop", "-I", "hail",
        "--default-iallocator-params", "capacity=x", NAME,
    )  # fmt: skip

    assert made.returncode == 0, made.stderr
    cluster = json.loads(node.seen(node.layout.config_data).read_bytes())["cluster"]
    assert not cluster["hvparams"]["kvm"]["acpi"]
    assert cluster["hvparams"]["kvm"]["boot_order"] == "cdrom"
    backend = cluster["beparams"]["default"]
    assert (backend["minmem"], backend["maxmem"], backend["vcpus"]) == (256, 256, 2)
    assert cluster["nicparams"]["default"]["link"] == "br7"
    assert cluster["ipolicy"]["std"]["memory-size"] == 512
    assert cluster["ipolicy"]["std"]["disk-size"] == 1024
    assert cluster["ipolicy"]["vcpu-ratio"] == 6
    assert cluster["uid_pool"] == [[4000, 4019], [4030, 4030]]
    assert cluster["candidate_pool_size"] == 3
    assert cluster["ndparams"]["spindle_count"] == 4
    assert cluster["diskparams"]["rbd"]["pool"] == "vms"
    assert not cluster["enabled_user_shutdown"]
    assert cluster["compression_tools"] == ["gzip", "lzop"]
    assert cluster["default_iallocator"] == "hail"
    assert cluster["default_iallocator_params"] == {"capacity": "x"}
    settings = node.seen(node.layout.ssconf("uid_pool")).read_text()
    assert settings == "4000-4019\n4030\n"


def test_joining_that_is_killed_anywhere_can_be_done_again(bare: clusters.Cluster) -> None:
    [node] = bare.nodes
    state = node.seen(node.layout.state_dir)
    bundle = joining.Bundle(
        protocol=noderpc.PROTOCOL,
        cluster_name=NAME,
        node_name=node.name,
        server_pem=nodedaemons.cluster(NAME).server.pem.decode(),
        settings={"node_list": f"{node.name}\n", "zzz": "last\n"},
    )
    given = bare.place / "bundle.json"
    given.write_bytes(joining.encode(bundle))
    line = f"exec ganeti-node-join --stdin <{given}"
    markers = ("server.pem", "client.pem", "ssconf_node_list", "ssconf_cluster_name")
    for marker in markers:
        pid = node.spawn("sh", "-c", line, log="join.log")
        qemus.wait_until((state / marker).exists, what=marker)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    other = node.run("gnt-cluster", "init", "other.example.com", "--master-ip", "192.0.2.99")
    done = node.run("sh", "-c", line, within=60)

    assert other.returncode == 1
    assert done.returncode == 0, done.stderr + done.stdout
    assert bare.noded(node).alive
    assert all((state / marker).exists() for marker in markers)
    assert (state / "ssconf_zzz").read_text() == "last\n"


def test_a_machine_of_another_cluster_is_left_alone(bare: clusters.Cluster) -> None:
    [node] = bare.nodes
    assert node.run("gnt-cluster", "init", NAME).returncode == 0
    bundle = joining.Bundle(
        protocol=noderpc.PROTOCOL,
        cluster_name="other.example.com",
        node_name=node.name,
        server_pem=nodedaemons.cluster(NAME).server.pem.decode(),
        settings={},
    )
    before = node.layout.server_certificate.read_bytes()

    refused = node.run("ganeti-node-join", "--stdin", given=joining.encode(bundle).decode())

    assert refused.returncode == 1
    answer = joining.decode(refused.stdout.encode(), joining.Answer)
    assert answer.error is not None
    assert f"in the cluster {NAME}" in answer.error
    assert node.layout.server_certificate.read_bytes() == before
    assert node.run("gnt-cluster", "master-ping").returncode == 0
