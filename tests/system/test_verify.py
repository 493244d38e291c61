"""A cluster is looked after: verified, with what is wrong told by its code."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.cluster import clusters, founding, machines, namespaces

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("system-verify")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(1, founded=False) as made:
        done = made.on(
            made.master, "gnt-cluster", "init", "-N", "mode=routed", founding.NAME, within=60
        )
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Look for nothing: the cluster is these tests' own, and goes with them."""


@pytest.fixture
def node(cluster: clusters.Cluster) -> machines.Machine:
    return cluster.master


def verify(node: machines.Machine, *options: str, code: int = 0) -> str:
    # A container's kernel does not show all that a node's should: ENODESETUP.
    done = node.run("gnt-cluster", "verify", "-I", "ENODESETUP", *options, within=60)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_new_cluster_is_as_it_should_be(node: machines.Machine) -> None:
    said = verify(node)

    assert "* Verifying cluster config" in said
    assert "* Verifying group 'default'" in said
    assert "ERROR" not in said


def test_programs_get_the_verdict_of_each_job(node: machines.Machine) -> None:
    verdicts = json.loads(verify(node, "--json"))

    assert [one["result"] for one in verdicts] == [True, True]


def test_one_group_is_verified_by_itself(node: machines.Machine) -> None:
    said = verify(node, "--node-group", "default", "-v")

    assert "* Verifying cluster config" not in said
    assert f"* Verifying node {node.name} (master)" in said


def test_a_finding_has_a_code_and_can_be_ignored(node: machines.Machine) -> None:
    secret = node.seen(node.root / "var/lib/ganeti/hmac.key")
    content = secret.read_bytes()
    secret.unlink()
    try:
        said = verify(node, "--error-codes", code=1)
        assert (
            "ERROR:ECLUSTERFILECHECK:cluster:None:File /var/lib/ganeti/hmac.key is missing from"
            f" node(s) {node.name}"
        ) in said
        said = verify(node, "-I", "ECLUSTERFILECHECK")
        assert "WARNING: cluster : File /var/lib/ganeti/hmac.key" in said
    finally:
        secret.write_bytes(content)


def test_an_unknown_code_is_refused(node: machines.Machine) -> None:
    done = node.run("gnt-cluster", "verify", "-I", "ENOSUCH")

    assert done.returncode == 1
    assert "ENOSUCH" in done.stderr


def test_a_hook_that_fails_is_a_finding(node: machines.Machine) -> None:
    folder = node.seen(node.root / "etc/ganeti/hooks/cluster-verify-post.d")
    folder.mkdir(parents=True)
    script = folder / "check"
    script.write_text("#!/bin/sh\necho not good $GANETI_OBJECT_TYPE\nexit 1\n")
    script.chmod(0o755)
    try:
        said = verify(node, code=1)
        assert (
            f"ERROR: node {node.name}: Script cluster-verify-post.d/check failed, output:" in said
        )
        assert "not good CLUSTER" in said
    finally:
        script.unlink()


def test_what_could_be_found_is_told(node: machines.Machine) -> None:
    said = verify(node, "--debug-simulate-errors", "--error-codes", code=1)

    assert "ENODETIME" in said
    assert "ENODENET" in said


@pytest.fixture(scope="module")
def instance(cluster: clusters.Cluster) -> str:
    """Make an instance with a disk in a file, which is down; return its name."""
    done = cluster.on(
        cluster.master, "gnt-instance", "add", "-t", "file", "-s", "1g", "-o", "image",
        "--no-install", "--no-start", "--no-name-check", "--no-ip-check",
        "--net", "0:mode=routed,ip=10.9.9.9", "web1.lab.example",
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    return "web1.lab.example"


def disk_file(cluster: clusters.Cluster, name: str) -> Path:
    node = cluster.master
    [found] = node.seen(node.root / "srv/ganeti/file-storage" / name).iterdir()
    return found


def test_a_file_that_is_missing_is_told_though_the_instance_is_down(
    cluster: clusters.Cluster, node: machines.Machine, instance: str
) -> None:
    verify(node)
    path = disk_file(cluster, instance)
    path.rename(path.with_name("elsewhere"))
    try:
        said = verify(node, "--error-codes", code=1)
    finally:
        path.with_name("elsewhere").rename(path)

    assert f"ERROR:EINSTANCEMISSINGDISK:instance:{instance}:disk/0 on {node.name}" in said


def test_recorded_sizes_are_corrected(
    cluster: clusters.Cluster, node: machines.Machine, instance: str
) -> None:
    os.truncate(disk_file(cluster, instance), 512 << 20)

    done = node.run("gnt-cluster", "repair-disk-sizes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[instance, 0, "size", 512]]
    assert "recorded 1024, actual 512" in done.stderr
    done = node.run("gnt-cluster", "repair-disk-sizes", "--json", instance)
    assert json.loads(done.stdout) == []


def test_disks_that_nobody_uses_are_not_looked_for(node: machines.Machine, instance: str) -> None:
    done = node.run("gnt-cluster", "verify-disks")

    assert done.returncode == 0, done.stderr
    assert "No disks need to be activated." in done.stdout


def test_all_about_the_cluster_is_told(node: machines.Machine) -> None:
    told = node.run("gnt-cluster", "info").stdout
    assert told.startswith(f"Cluster name: {founding.NAME}\n")
    assert "  candidate pool size: 10\n" in told
    assert "    - min/0:\n        cpu-count: 1\n" in told

    info = json.loads(node.run("gnt-cluster", "info", "--json").stdout)
    assert info["name"] == founding.NAME
    said = node.run("gnt-cluster", "show-ispecs-cmd").stdout
    assert said.startswith("gnt-cluster init --ipolicy-std-specs cpu-count=1,")
    assert said.endswith(f" {founding.NAME}\n")


DEBIAN = Path("/usr/share/ganeti/3.0")


@pytest.fixture
def ganeti(cluster: clusters.Cluster, node: machines.Machine) -> Callable[..., str]:
    """Return what runs a command of Debian's Ganeti 3.0 against our master daemon."""
    # Ganeti wants the root of a node among several to be named after it.
    root = cluster.place / "as" / node.name
    root.parent.mkdir(exist_ok=True)
    root.symlink_to(node.root)

    def run(program: str, *words: str, code: int = 0) -> str:
        environment = (f"GANETI_ROOTDIR={root}", f"GANETI_HOSTNAME={node.name}")
        done = node.run("env", *environment, str(DEBIAN / program), *words, within=60)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's package ganeti-3.0")
def test_debians_commands_cannot_tell_the_difference(
    node: machines.Machine, ganeti: Callable[..., str]
) -> None:
    said = ganeti("gnt-cluster", "verify", "--error-codes", "--ignore-errors=ENODESETUP")
    assert "* Verifying group 'default'" in said
    assert "ERROR:" not in said
    ganeti("gnt-cluster", "verify-disks")
    ganeti("gnt-cluster", "repair-disk-sizes")
    ganeti("gnt-cluster", "modify", "-H", "kvm:acpi=false", "-B", "vcpus=2",
           "--max-running-jobs=9", "--uid-pool=1000-2000")  # fmt: skip
    assert "acpi: False" in ganeti("gnt-cluster", "info")
    said = ganeti("gnt-node", "modify", "--node-parameters", "spindle_count=4,ssh_port=2222",
                  "--vm-capable", "yes", node.name)  # fmt: skip
    assert "vm_capable -> True" in said
    assert "spindle_count: 4" in ganeti("gnt-node", "info")
    assert node.name in ganeti("gnt-node", "list-storage")
    assert "(unavail)" in ganeti("gnt-node", "power", "status", code=1)
    assert "master-failover" in ganeti("gnt-node", "modify", "-O", "yes", node.name, code=1)
