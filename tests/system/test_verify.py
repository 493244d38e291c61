"""A cluster is looked after: verified, with what is wrong told by its code."""

import json
from collections.abc import Iterator

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
