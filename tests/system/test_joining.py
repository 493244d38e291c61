"""Three bare machines become one cluster: the second shows a token, the third is reached by ssh.

Then what is done with a whole cluster is done with this one.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import qemus
from lab.cluster import clusters, founding, machines, namespaces, services, ssh
from pyganeti.base import tls
from pyganeti.wire import epochs, joining

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("system-joining")]

INIT = ("gnt-cluster", "init", "--master-netdev", "br0", founding.NAME)
SHARED = ("server.pem", "hmac.key", "cluster-domain-secret", "rapi.pem")


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave what is left here to go with the machines."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make three bare machines one cluster; whichever test comes first, it finds all three."""
    if why_not := namespaces.why_not() or ssh.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(3, founded=False) as made:
        first, second, third = made.nodes
        done = first.run(*INIT, within=60)
        assert done.returncode == 0, done.stderr
        line = ("gnt-node", "add", "--token", "-", second.port)
        done = first.run(*line, given=f"{token_of(second)}\n", within=60)
        assert done.returncode == 0, done.stderr
        opened = ssh.Way(third, made.place / "way")
        line = ("gnt-node", "add", "--master-capable", "no", third.name)
        done = first.run(*line, environment=opened.environment, within=60)
        assert done.returncode == 0, done.stderr
        WAYS[made.place] = opened
        yield made


WAYS: dict[Path, ssh.Way] = {}


@pytest.fixture(scope="module")
def way(cluster: clusters.Cluster) -> ssh.Way:
    """Return the way by ssh to the third."""
    return WAYS[cluster.place]


def token_of(node: machines.Machine, *options: str) -> str:
    """Have a machine wait for the master; return its token."""
    log = node.seen(node.root / "join.log")
    log.unlink(missing_ok=True)
    node.spawn("ganeti-node-join", *options, log="join.log")
    qemus.wait_until(lambda: "gnj1-" in log.read_text(), what=f"a token of {node}")
    return next(line for line in log.read_text().splitlines() if line.startswith("gnj1-"))


def listed(cluster: clusters.Cluster, fields: str = "name,role") -> list[str]:
    line = ("gnt-node", "list", "--no-headers", "--separator", " ", "-o", fields)
    done = cluster.on(cluster.master, *line)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_by_token_and_by_ssh_machines_become_nodes(cluster: clusters.Cluster) -> None:
    first, second, third = cluster.nodes
    assert listed(cluster) == [f"{first.name} M", f"{second.name} C", f"{third.name} R"]
    for node in cluster.nodes:
        layout = node.layout
        assert cluster.noded(node).alive
        names = node.seen(layout.ssconf("node_list")).read_text().split()
        assert names == [one.name for one in cluster.nodes]
        for name in (*SHARED, "client.pem"):
            path = node.seen(layout.state_dir / name)
            assert path.stat().st_mode & 0o777 == 0o600, name
        for name in SHARED:
            path = node.seen(layout.state_dir / name)
            assert path.read_bytes() == first.seen(first.layout.state_dir / name).read_bytes()
    candidate = json.loads(second.seen(second.layout.config_data).read_bytes())
    certificates = candidate["cluster"]["candidate_certs"]
    roles = {node["name"]: node["uuid"] for node in candidate["nodes"].values()}
    assert set(certificates) == {roles[first.name], roles[second.name]}
    assert not third.seen(third.layout.config_data).exists()
    assert third.run("gnt-cluster", "getmaster").stdout.strip() == first.name


def followed(cluster: clusters.Cluster) -> list[list[str]]:
    """Return for each node the epoch that it knows, and whose it is."""
    fields = ("--no-headers", "--separator", " ", "-o", "epoch,follows")
    said = cluster.master.run("gnt-node", "list", *fields).stdout
    return [[line] for line in said.splitlines()]


def test_nodes_that_joined_take_calls_and_vote(cluster: clusters.Cluster) -> None:
    first = cluster.master
    masterd = cluster.service(first, services.MASTERD)

    masterd.stop()
    masterd.start()  # which the votes of all three have to confirm

    [[epoch], *others] = followed(cluster)
    assert all(other == [epoch] for other in others)
    assert epoch.split()[1] == first.name
    assert first.run("gnt-debug", "delay", "-n", cluster.nodes[1].name, "0.01").returncode == 0


def test_nodes_that_joined_are_as_they_should_be(cluster: clusters.Cluster) -> None:
    said = cluster.master.run("gnt-cluster", "verify", "--error-codes", within=60).stdout

    assert "* Other Notes" in said
    wrong = [line for line in said.splitlines() if " - ERROR:" in line]
    # What machines of the laboratory lack: all of a kernel, and the bridge that is the default.
    assert [line for line in wrong if "ENODESETUP" not in line and "bridges: br0" not in line] == []


def test_what_nodes_have_lost_is_sent_again(cluster: clusters.Cluster) -> None:
    first, second, third = cluster.nodes
    lost = [
        second.seen(second.layout.state_dir / "hmac.key"),
        second.seen(second.layout.config_data),
        third.seen(third.layout.ssconf("node_list")),
    ]
    kept = [path.read_bytes() for path in lost]
    for path in lost:
        path.unlink()

    done = first.run("gnt-cluster", "redist-conf", within=60)

    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in lost] == kept


def test_the_clusters_address_is_given_back_and_taken_again(cluster: clusters.Cluster) -> None:
    first = cluster.master

    def has_address() -> bool:
        return founding.MASTER_ADDRESS in first.run("ip", "-br", "-4", "addr").stdout

    refused = first.run("gnt-cluster", "deactivate-master-ip")
    assert (refused.returncode, has_address()) == (13, True)
    assert first.run("gnt-cluster", "deactivate-master-ip", "--yes").returncode == 0
    assert not has_address()
    assert first.run("gnt-cluster", "activate-master-ip").returncode == 0
    assert has_address()


def test_a_file_is_copied_and_a_command_run_by_ssh(cluster: clusters.Cluster, way: ssh.Way) -> None:
    first, _, third = cluster.nodes
    file = cluster.place / "motd"
    file.write_text("hello\n")
    file.chmod(0o640)
    before = file.stat().st_ino  # the machines see the same file: it is replaced from the third
    copied = first.run(
        "gnt-cluster", "copyfile", "-n", third.port, str(file), environment=way.environment
    )
    assert copied.returncode == 0, copied.stderr
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("hello\n", 0o640)
    assert file.stat().st_ino != before
    assert not file.with_name("motd.new").exists()

    words = ("--json", "-n", third.port, "-n", first.port, "hostname; exit", "3")
    done = first.run("gnt-cluster", "command", *words, environment=way.environment)

    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert [one["node"] for one in told] == [third.name, first.name]
    assert [one["output"] for one in told] == [f"{third.name}\n", f"{first.name}\n"]
    assert {one["status"] for one in told} == {3}


def digests(cluster: clusters.Cluster, name: str) -> list[str]:
    state = [node.seen(node.layout.state_dir) for node in cluster.nodes]
    return [tls.file_digest(directory / name) for directory in state]


def test_all_certificates_and_secrets_are_renewed_while_all_run(
    cluster: clusters.Cluster,
) -> None:
    first, second, third = cluster.nodes
    daemons = [cluster.noded(node).pid for node in cluster.nodes]
    before = {name: digests(cluster, name) for name in ("server.pem", "client.pem", "rapi.pem")}
    key = first.seen(first.layout.state_dir / "hmac.key").read_bytes()

    renewed = first.run(
        "gnt-cluster", "renew-crypto", "-f", "--new-cluster-certificate",
        "--new-rapi-certificate", "--new-confd-hmac-key", within=60,
    )  # fmt: skip

    assert renewed.returncode == 0, renewed.stderr
    for name, old in before.items():
        assert not set(digests(cluster, name)) & set(old), name
    assert len(set(digests(cluster, "server.pem"))) == 1
    for node in cluster.nodes:
        state = node.seen(node.layout.state_dir)
        assert (state / "hmac.key").read_bytes() != key
        assert (state / "server.pem").read_text().count("BEGIN CERTIFICATE") == 1
        assert not list(state.glob("server.pem.*"))
        assert len((state / "ssconf_master_candidates_certs").read_text().split()) == 2
    # Nobody was restarted, and all still speak with each other: a restarted master gets its votes.
    assert [cluster.noded(node).pid for node in cluster.nodes] == daemons
    for node in (second, third):
        assert first.run("gnt-debug", "delay", "-n", node.name, "0.01").returncode == 0
    masterd = cluster.service(first, services.MASTERD)
    masterd.stop()
    masterd.start()


def test_a_renewal_that_a_node_missed_goes_on_when_it_is_back(cluster: clusters.Cluster) -> None:
    first, _, third = cluster.nodes
    before = digests(cluster, "server.pem")
    cluster.noded(third).stop()
    line = ("gnt-cluster", "renew-crypto", "-f", "--new-cluster-certificate")

    failed = first.run(*line, within=60)

    assert failed.returncode == 1
    assert third.name in failed.stderr
    assert digests(cluster, "server.pem") == before
    cluster.noded(third).start()
    done = first.run(*line, within=60)
    assert done.returncode == 0, done.stderr
    assert "goes on" in done.stderr
    assert not set(digests(cluster, "server.pem")) & set(before)
    assert first.run("gnt-debug", "delay", "-n", third.name, "0.01").returncode == 0


def test_a_renewal_that_is_killed_anywhere_leaves_a_cluster(cluster: clusters.Cluster) -> None:
    first, second, third = cluster.nodes
    masterd = cluster.service(first, services.MASTERD)
    old = digests(cluster, "server.pem")[0]
    line = ("gnt-cluster", "renew-crypto", "-f", "--new-cluster-certificate")

    def trusted(node: machines.Machine) -> int:
        return len(tls.read_certificates(node.seen(node.layout.server_certificate)))

    def shown(node: machines.Machine) -> str:
        return tls.file_digest(node.seen(node.layout.server_certificate))

    moments = (
        lambda: trusted(second) == 2 or trusted(third) == 2,
        lambda: shown(second) != old or shown(third) != old,
        lambda: shown(first) != old,
        first.seen(first.layout.state_dir / "client.pem.tmp").exists,
    )
    for moment in moments:
        assert first.run(*line, "--submit").returncode == 0
        qemus.wait_until(moment, what="a step of the renewal")
        masterd.kill()
        masterd.start()  # the votes come in: all still speak with each other
        assert first.run("gnt-debug", "delay", "-n", third.name, "0.01").returncode == 0

    done = first.run(*line, within=60)

    assert done.returncode == 0, done.stderr
    assert set(digests(cluster, "server.pem")) == {shown(first)} != {old}
    assert [trusted(node) for node in cluster.nodes] == [1, 1, 1]
    certificates = second.seen(second.layout.ssconf("master_candidates_certs")).read_text()
    assert certificates.count("=") == 2
    assert first.run("gnt-debug", "delay", "-n", second.name, "0.01").returncode == 0


@pytest.mark.parametrize("words", [("-n", "node9"), ("-g", "nosuch")])
def test_nobody_runs_a_command_who_was_not_meant(
    cluster: clusters.Cluster, words: tuple[str, ...]
) -> None:
    refused = cluster.master.run(
        "gnt-cluster", "command", *words, "touch", str(cluster.place / "x")
    )
    assert refused.returncode == 1
    assert f"'{words[1]}' not known" in refused.stderr
    assert not (cluster.place / "x").exists()


def test_a_cluster_with_several_nodes_is_not_destroyed(cluster: clusters.Cluster) -> None:
    refused = cluster.master.run("gnt-cluster", "destroy", "--yes-do-it")
    assert refused.returncode == 1
    assert "2 node(s)" in refused.stderr
    assert cluster.master.run("gnt-cluster", "master-ping").returncode == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--token", "gnj1-AAAA", "node9"], "no token"),
        (["nosuch.example.com"], "does not resolve"),
        (["node2"], "--readd"),
        (["--readd", "node1"], "is the master"),
        (["-g", "nosuch", "192.0.2.9"], "nosuch"),
    ],
)
def test_what_cannot_be_added_is_refused_in_a_line(
    cluster: clusters.Cluster, words: list[str], why: str
) -> None:
    before = listed(cluster)

    refused = cluster.master.run("gnt-node", "add", *words)

    assert refused.returncode == 1
    assert why in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert listed(cluster) == before


def test_a_node_leaves_without_a_trace_and_comes_back(cluster: clusters.Cluster) -> None:
    first, second, _ = cluster.nodes
    kept = json.loads(first.seen(first.layout.config_data).read_bytes())["nodes"]

    removed = first.run("gnt-node", "remove", second.name, within=60)

    assert removed.returncode == 0, removed.stderr
    assert second.name not in "".join(listed(cluster))
    qemus.wait_until(lambda: not cluster.noded(second).alive, what="its node daemon to end")
    left = {path.name for path in second.seen(second.layout.state_dir).iterdir()}
    assert not left & {"server.pem", "client.pem", "config.data", "ssconf_cluster_name"}
    assert not left & {"epoch.json", "config.epoch.json"}
    # What it may have promised elsewhere meanwhile is nothing to this cluster.
    second.seen(second.layout.epoch_file).write_bytes(epochs.encode(epochs.of(999, "elsewhere")))
    config = json.loads(first.seen(first.layout.config_data).read_bytes())
    assert len(config["nodes"]) == len(kept) - 1
    assert set(config["cluster"]["candidate_certs"]) == {config["cluster"]["master_node"]}

    token = token_of(second, "--port", "0")
    added = first.run("gnt-node", "add", "--token", token, second.name, within=60)
    assert added.returncode == 0, added.stderr
    assert f"{second.name} C" in listed(cluster)
    assert len({epoch for [epoch] in followed(cluster)}) == 1


def test_what_was_cut_off_between_machine_and_configuration_goes_on(
    cluster: clusters.Cluster,
) -> None:
    first, second, _ = cluster.nodes
    # The machine gives up everything, and the configuration does not hear of it.
    cluster.noded(second).kill()
    shutil.rmtree(second.seen(second.layout.state_dir))
    removed = first.run("gnt-node", "remove", second.name, within=60)
    assert removed.returncode == 0, removed.stderr
    assert "Errors encountered on the remote node" in removed.stdout
    assert second.name not in "".join(listed(cluster))

    # The machine becomes a node, and the job that would enter it does not come.
    assert first.run("gnt-cluster", "queue", "drain").returncode == 0
    token = token_of(second)
    failed = first.run("gnt-node", "add", "--token", token, second.name, within=60)
    assert failed.returncode == 1
    assert "drain" in failed.stderr
    assert cluster.noded(second).alive
    assert second.name not in "".join(listed(cluster))
    assert first.run("gnt-cluster", "queue", "undrain").returncode == 0
    added = first.run("gnt-node", "add", second.name, within=60)
    assert added.returncode == 0, added.stderr
    assert f"{second.name} C" in listed(cluster)


def test_hooks_hear_of_nodes_that_come_and_go(cluster: clusters.Cluster) -> None:
    first, second, _ = cluster.nodes
    heard = cluster.place / "heard"
    for kind in ("node-remove", "node-add"):
        for node in (first, second):
            script = node.seen(node.layout.config_dir / f"hooks/{kind}-post.d/tell")
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(
                f"#!/bin/sh\necho {node.port} {kind} $GANETI_NODE_NAME $GANETI_NODE_PIP >>{heard}\n"
            )
            script.chmod(0o755)

    assert first.run("gnt-node", "remove", second.name, within=60).returncode == 0
    gone = sorted(heard.read_text().splitlines())  # without an address, for which there is none
    heard.unlink()
    token = token_of(second)
    added = first.run("gnt-node", "add", "--token", token, second.name, within=60)

    assert added.returncode == 0, added.stderr
    assert gone == [f"{port} node-remove {second.name}" for port in ("node1", "node2")]
    come = sorted(heard.read_text().splitlines())
    about = f"node-add {second.name} {second.address}"
    assert come == [f"{port} {about}" for port in ("node1", "node2")]
    for node in (first, second):
        shutil.rmtree(node.seen(node.layout.config_dir / "hooks"))


def test_the_master_and_unknown_nodes_cannot_be_removed(cluster: clusters.Cluster) -> None:
    for name, why in ((cluster.master.name, "master node"), ("node9", "not known")):
        refused = cluster.master.run("gnt-node", "remove", name)
        assert refused.returncode == 1
        assert why in refused.stderr


def test_a_node_that_lost_everything_is_taken_in_again(cluster: clusters.Cluster) -> None:
    first, second, _ = cluster.nodes
    uuids = listed(cluster, "name,uuid")
    cluster.noded(second).kill()
    for path in second.seen(second.layout.state_dir).glob("*.pem"):
        path.unlink()
    for path in second.seen(second.layout.state_dir).glob("ssconf_*"):
        path.unlink()

    token = token_of(second)
    added = first.run("gnt-node", "add", "--readd", "--token", token, second.name, within=60)

    assert added.returncode == 0, added.stderr
    assert listed(cluster, "name,uuid") == uuids
    assert f"{second.name} C" in listed(cluster)
    assert cluster.noded(second).alive


def test_a_token_serves_nobody_but_its_machine_and_once(cluster: clusters.Cluster) -> None:
    first, second, _ = cluster.nodes
    first.run("gnt-node", "remove", second.name, within=60)
    token = joining.Token.decode(token_of(second, "--port", "0"))
    wrong = joining.Token(token.address, token.port, token.fingerprint, bytes(16))
    other = joining.Token(token.address, token.port, bytes(32), token.secret)

    for forged, why in ((wrong, "not the token"), (other, "did not make this token")):
        refused = first.run("gnt-node", "add", "--token", forged.encode(), second.name)
        assert refused.returncode == 1
        assert why in refused.stderr
        assert not second.seen(second.layout.server_certificate).exists()
    assert "does not have the token" in second.seen(second.root / "join.log").read_text()

    done = first.run("gnt-node", "add", "--token", token.encode(), second.name, within=60)
    assert done.returncode == 0, done.stderr
    first.run("gnt-node", "remove", second.name, within=60)
    again = first.run("gnt-node", "add", "--token", token.encode(), second.name)
    assert again.returncode == 1
    assert "the token was used" in again.stderr
    fresh = token_of(second)
    assert first.run("gnt-node", "add", "--token", fresh, second.name, within=60).returncode == 0
